/** Begins the page. */
import { render } from 'preact';
import { App } from './App.tsx';
import { applyTheme, readTheme } from './theme.ts';

applyTheme(readTheme());
const place = document.getElementById('page');
if (place !== null) render(<App />, place);
