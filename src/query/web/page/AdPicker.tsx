/** The chosen ads, and a field that finds others by how their ids begin (a combobox of WAI-ARIA 1.2). */
import { useEffect, useRef, useState } from 'preact/hooks';
import { type Ads, ask } from './api.ts';
import { ADS_MAX } from './view.ts';

const SHOWN_MAX = 8;
const TYPING_MS = 150;

interface AdPickerParts {
  readonly ads: readonly string[];
  readonly toggle: (ad: string) => void;
}

export function AdPicker({ ads, toggle }: AdPickerParts) {
  const [text, setText] = useState('');
  const [isOpen, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const field = useRef<HTMLInputElement>(null);
  const found = useFound(text, isOpen)
    // While the next ones are on their way, those of a shorter text are still there.
    .filter((ad) => ad.startsWith(text.trim()) && !ads.includes(ad))
    .slice(0, SHOWN_MAX);
  const isFull = ads.length >= ADS_MAX;
  const add = (ad: string | undefined) => {
    if (ad === undefined || ad === '' || ads.includes(ad)) return;
    toggle(ad);
    setText('');
    setAt(-1);
    setOpen(false);
  };
  const remove = (ad: string) => {
    toggle(ad);
    field.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined) {
      event.preventDefault();
      setOpen(true);
      if (found.length > 0) setAt((at + step + (at < 0 && step < 0 ? 1 : 0) + found.length) % found.length);
    } else if (event.key === 'Enter') add(found[at] ?? text.trim());
    else if (event.key === 'Escape') setOpen(false);
    else if (event.key === 'Backspace' && text === '' && ads.length > 0) remove(ads.at(-1) ?? '');
  };
  const isShown = isOpen && found.length > 0;
  return (
    <div class="picker">
      <label class="label" for="ad-search">
        Ads <small>{isFull ? `${ADS_MAX} at most` : ''}</small>
      </label>
      <div class="field">
        <ul aria-label="Chosen ads">
          {ads.map((ad, index) => (
            <li key={ad} class={`chip ad-${index}`}>
              <i aria-hidden="true" />
              <span title={ad}>{ad}</span>
              <button type="button" aria-label={`Remove ${ad}`} onClick={() => remove(ad)}>
                ×
              </button>
            </li>
          ))}
        </ul>
        <input
          id="ad-search"
          ref={field}
          value={text}
          disabled={isFull}
          placeholder={isFull ? '' : ads.length === 0 ? 'Find an ad by its id' : 'Add an ad'}
          role="combobox"
          autocomplete="off"
          spellcheck={false}
          aria-expanded={isShown}
          aria-controls="ad-found"
          aria-autocomplete="list"
          {...(isShown && at >= 0 ? { 'aria-activedescendant': `ad-found-${at}` } : {})}
          onInput={(event) => {
            setText(event.currentTarget.value);
            setAt(-1);
            setOpen(true);
          }}
          onFocus={() => setOpen(true)}
          onBlur={() => setOpen(false)}
          onKeyDown={onKeyDown}
        />
      </div>
      <div id="ad-found" role="listbox" aria-label="Ads found" hidden={!isShown}>
        {found.map((ad, index) => (
          // A press must not take the focus away before the click comes.
          <div
            key={ad}
            id={`ad-found-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => add(ad)}
            onKeyDown={onKeyDown}
          >
            {ad}
          </div>
        ))}
      </div>
    </div>
  );
}

function useFound(text: string, isOpen: boolean): string[] {
  const [found, setFound] = useState<string[]>([]);
  useEffect(() => {
    if (!isOpen) return;
    const end = new AbortController();
    const timer = setTimeout(() => {
      const query = { search: text.trim(), limit: String(SHOWN_MAX * 2) };
      ask<Ads>('/api/v1/ads', query, end.signal).then(
        ({ ads }) => setFound(ads.map(({ adId }) => adId)),
        () => end.signal.aborted || setFound([]),
      );
    }, TYPING_MS);
    return () => {
      end.abort();
      clearTimeout(timer);
    };
  }, [text, isOpen]);
  return found;
}
