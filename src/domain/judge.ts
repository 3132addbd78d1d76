/**
 * The one judge (I11): what a click's own content says, under a rule set. No clock, no position, no memory: the
 * live path, the simulator and the reconciler call this same function and get the same answer for ever. Whether
 * a billable click is the first of its impression is the fold's to say (I4).
 */
import type { ClickFacts, RoutedFacts } from './clickRecord.ts';
import { clickTimeMs, impressionTimeMs } from './identity.ts';
import { isProgram } from './programNames.ts';
import type { RuleSet } from './ruleSet.ts';
import { uuid7TimeMs } from './uuid7.ts';

export type RefusedDisposition = 'GIVT' | 'SIVT' | 'DEFECTIVE' | 'TEST';

/** Why a click is refused; the words that audits show. */
export type RefusalReason =
  | 'click_time_future'
  | 'event_time_future'
  | 'event_time_old'
  | 'impression_time'
  | 'signature_invalid'
  | 'signature_expired'
  | 'test'
  | 'head'
  | 'prefetch'
  | 'user_agent_empty'
  | 'user_agent_bot';

export type Judgement =
  | { readonly kind: 'billable' }
  | { readonly kind: 'refused'; readonly disposition: RefusedDisposition; readonly reason: RefusalReason };

function refusal(disposition: RefusedDisposition, reason: RefusalReason): Judgement {
  return Object.freeze({ kind: 'refused', disposition, reason });
}

// One object for each outcome: judging a click allocates nothing.
const BILLABLE: Judgement = Object.freeze({ kind: 'billable' });
const CLICK_TIME_FUTURE = refusal('DEFECTIVE', 'click_time_future');
const EVENT_TIME_FUTURE = refusal('DEFECTIVE', 'event_time_future');
const EVENT_TIME_OLD = refusal('DEFECTIVE', 'event_time_old');
const IMPRESSION_TIME = refusal('DEFECTIVE', 'impression_time');
const SIGNATURE_INVALID = refusal('DEFECTIVE', 'signature_invalid');
const SIGNATURE_EXPIRED = refusal('DEFECTIVE', 'signature_expired');
const TEST = refusal('TEST', 'test');
const HEAD = refusal('GIVT', 'head');
const PREFETCH = refusal('GIVT', 'prefetch');
const USER_AGENT_EMPTY = refusal('GIVT', 'user_agent_empty');
const USER_AGENT_BOT = refusal('GIVT', 'user_agent_bot');

/**
 * What the click's content is worth. A click that cannot be what it says is defective before it is anything else;
 * a test is a test whoever made it; then programs that declare themselves.
 */
export function judge(facts: ClickFacts, rules: RuleSet): Judgement {
  return (
    impossibleTimes(facts, rules) ??
    badSignature(facts) ??
    (facts.test ? TEST : undefined) ??
    program(facts, rules) ??
    BILLABLE
  );
}

/** Whether one of the click's UUIDs lies further ahead of its receipt than the rules allow (I3, I11). */
export function isFromTheFuture(facts: RoutedFacts, rules: RuleSet): boolean {
  const latestMs = facts.receivedMs + rules.maxFutureSkewMs;
  return clickTimeMs(facts) > latestMs || (impressionTimeMs(facts) ?? 0) > latestMs;
}

/** Whether the click's event time can be believed; where not, it is booked at the minute of its receipt. */
export function isEventTimePossible(facts: ClickFacts, rules: RuleSet): boolean {
  return (
    facts.eventTimeMs <= facts.receivedMs + rules.maxFutureSkewMs &&
    facts.eventTimeMs >= facts.receivedMs - rules.maxEventAgeMs
  );
}

function impossibleTimes(facts: ClickFacts, rules: RuleSet): Judgement | undefined {
  if (isFromTheFuture(facts, rules)) return CLICK_TIME_FUTURE;
  if (!isEventTimePossible(facts, rules)) {
    return facts.eventTimeMs > facts.receivedMs ? EVENT_TIME_FUTURE : EVENT_TIME_OLD;
  }
  if (facts.impressionId === undefined) return undefined;
  const clickMs = uuid7TimeMs(facts.clickId);
  const impressionMs = uuid7TimeMs(facts.impressionId);
  const tooOld = impressionMs < clickMs - rules.dedupHorizonMs;
  return tooOld || impressionMs > clickMs + rules.maxFutureSkewMs ? IMPRESSION_TIME : undefined;
}

function badSignature(facts: ClickFacts): Judgement | undefined {
  if (facts.signature === 'INVALID') return SIGNATURE_INVALID;
  return facts.signature === 'EXPIRED' ? SIGNATURE_EXPIRED : undefined;
}

function program(facts: ClickFacts, rules: RuleSet): Judgement | undefined {
  if (facts.head) return HEAD;
  if (facts.prefetch) return PREFETCH;
  if (facts.userAgent === undefined) return undefined;
  // isbot takes an empty text for a person's.
  if (facts.userAgent === '') return facts.channel === 'HTTP' ? USER_AGENT_EMPTY : undefined;
  return isProgram(facts.userAgent, rules.version) ? USER_AGENT_BOT : undefined;
}
