/**
 * The files of the page, by path: read and bundled once, when the process starts, so that nobody has to build anything
 * and nothing comes from another host. Only these paths are served: no path of a request ever reaches the disk.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';

export interface PageFile {
  readonly content: string;
  readonly type: string;
}

const FOLDER = path.join(import.meta.dirname, 'page');

/** @throws where the page cannot be bundled */
export async function readPageFiles(): Promise<ReadonlyMap<string, PageFile>> {
  const { outputs } = await Bun.build({
    entrypoints: [path.join(FOLDER, 'main.tsx')],
    target: 'browser',
    minify: true,
  });
  const [html, icon, style, charts] = await Promise.all([
    readFile(path.join(FOLDER, 'index.html'), 'utf8'),
    readFile(path.join(FOLDER, 'icon.svg'), 'utf8'),
    readFile(path.join(FOLDER, 'page.css'), 'utf8'),
    readFile(Bun.resolveSync('uplot/dist/uPlot.min.css', FOLDER), 'utf8'),
  ]);
  return new Map([
    ['/', { content: html, type: 'text/html; charset=utf-8' }],
    ['/page.js', { content: (await outputs[0]?.text()) ?? '', type: 'text/javascript; charset=utf-8' }],
    ['/page.css', { content: `${charts}\n${style}`, type: 'text/css; charset=utf-8' }],
    ['/icon.svg', { content: icon, type: 'image/svg+xml' }],
  ]);
}
