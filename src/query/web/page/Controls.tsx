/** Which ads, which range, which time zone. */
import { useMemo } from 'preact/hooks';
import { AdPicker } from './AdPicker.tsx';
import { serviceNow } from './clock.ts';
import { RANGES, type RangeName, type View, zones } from './view.ts';
import { offset } from './words.ts';

interface ControlsParts {
  readonly view: View;
  readonly change: (changes: Partial<View>) => void;
  readonly toggle: (ad: string) => void;
}

export function Controls({ view, change, toggle }: ControlsParts) {
  const known = useMemo(() => zones(view.zone), [view.zone]);
  return (
    <section class="controls" aria-label="What is shown">
      <AdPicker ads={view.ads} toggle={toggle} />
      <fieldset class="segments">
        <legend>Range</legend>
        {(Object.keys(RANGES) as RangeName[]).map((name) => (
          <label key={name} title={RANGES[name].words}>
            <input
              type="radio"
              name="range"
              checked={name === view.range}
              onChange={() => change({ range: name })}
            />
            <span>{RANGES[name].label}</span>
          </label>
        ))}
      </fieldset>
      <label class="zone">
        <span class="label">
          Time zone <small>{offset(serviceNow(), view.zone)}</small>
        </span>
        <select value={view.zone} onChange={(event) => change({ zone: event.currentTarget.value })}>
          {known.map((zone) => (
            <option key={zone} value={zone}>
              {zone.replaceAll('_', ' ')}
            </option>
          ))}
        </select>
      </label>
    </section>
  );
}
