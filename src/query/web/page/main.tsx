/** Begins the page. */
import { render } from 'preact';
import { App } from './App.tsx';
import { askTime } from './clock.ts';
import { applyTheme, readTheme } from './theme.ts';

applyTheme(readTheme());
const place = document.getElementById('page');
await askTime();
if (place !== null) render(<App />, place);
