/** Whether a user agent is a program's, by the lists of a rule set. */
import crawlers from 'crawler-user-agents';
import { isbot } from 'isbot';
import { LRUCache } from 'lru-cache';
import { type BotList, RULE_SETS } from './ruleSet.ts';

/** User agents whose answers are kept, a rule set. */
const KNOWN_MAX = 10_000;

/** The package's own types leave out the kinds. */
interface Crawler {
  readonly pattern: string;
  readonly tags?: readonly string[];
}
const CRAWLERS: readonly Crawler[] = crawlers;

type Test = (userAgent: string) => boolean;

const tests = new Map<number, Test>();

/** @param version a rule set that this release knows */
export function isProgram(userAgent: string, version: number): boolean {
  let test = tests.get(version);
  if (test === undefined) {
    test = remembering(anyOf(RULE_SETS[version] ?? []));
    tests.set(version, test);
  }
  return test(userAgent);
}

function anyOf(lists: readonly BotList[]): Test {
  const each = lists.map((list) => (list.package === 'isbot' ? isbot : crawlerTest(list)));
  return (userAgent) => each.some((test) => test(userAgent));
}

function crawlerTest({ kinds }: BotList): Test {
  const isListed = (tags: readonly string[]) => kinds?.some((kind) => tags.includes(kind)) ?? true;
  const listed = CRAWLERS.filter(({ tags = [] }) => isListed(tags));
  const pattern = new RegExp(listed.map((crawler) => `(?:${crawler.pattern})`).join('|'));
  return (userAgent) => pattern.test(userAgent);
}

/** A list always says the same, and looking it up takes longer than all else in judging. */
function remembering(test: Test): Test {
  const known = new LRUCache<string, boolean>({ max: KNOWN_MAX });
  return (userAgent) => {
    let answer = known.get(userAgent);
    if (answer === undefined) {
      answer = test(userAgent);
      known.set(userAgent, answer);
    }
    return answer;
  };
}
