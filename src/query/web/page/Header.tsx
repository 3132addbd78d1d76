/** The name, how the connection is, and the colours. */
import { useState } from 'preact/hooks';
import type { Freshness } from './api.ts';
import { applyTheme, readTheme, THEMES, type Theme } from './theme.ts';
import type { Connection } from './useSeries.ts';
import { clockWithSeconds } from './words.ts';

const THEME_NAMES: Readonly<Record<Theme, string>> = { system: 'Auto', light: 'Light', dark: 'Dark' };
const STATES: Readonly<Record<Connection['kind'], string>> = {
  idle: 'No ad chosen',
  connecting: 'Connecting',
  live: 'Live',
  asked: 'Every 10 s',
  away: 'Reconnecting',
};

interface HeaderParts {
  readonly connection: Connection;
  readonly freshness: Freshness | undefined;
  readonly zone: string;
}

export function Header({ connection, freshness, zone }: HeaderParts) {
  const [theme, setTheme] = useState(readTheme);
  const choose = (chosen: Theme) => {
    applyTheme(chosen);
    setTheme(chosen);
  };
  const arrived = freshness?.arrivedThrough;
  return (
    <header>
      <h1>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <title>clickledger</title>
          <path d="M6 26V17M13 26V10M20 26V14M27 26V5" />
        </svg>
        clickledger
      </h1>
      <p class={`connection ${connection.kind}`}>
        <span role="status" aria-live="polite">
          <i aria-hidden="true" />
          {STATES[connection.kind]}
          {connection.kind === 'away' && <span class="why">: {connection.why}</span>}
        </span>
        {arrived && (
          <span class="arrived" title="Every click that was on disk before this moment is counted">
            counted through <time dateTime={arrived}>{clockWithSeconds(Date.parse(arrived), zone)}</time>
          </span>
        )}
      </p>
      <fieldset class="segments theme">
        <legend class="unseen">Colours</legend>
        {THEMES.map((one) => (
          <label key={one}>
            <input type="radio" name="theme" checked={one === theme} onChange={() => choose(one)} />
            <span>{THEME_NAMES[one]}</span>
          </label>
        ))}
      </fieldset>
    </header>
  );
}
