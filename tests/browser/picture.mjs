// Takes the picture of a report that README.md shows: its first screen.
//
//   node picture.mjs REPORT.html PICTURE.png
//
// CHROMIUM is the path of the browser (default /usr/bin/chromium).

import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [report, picture] = process.argv.slice(2);
if (!report || !picture) {
  console.error('usage: picture.mjs REPORT.html PICTURE.png');
  process.exit(2);
}
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--hide-scrollbars'],
});
const page = await browser.newPage({ viewport: { width: 1000, height: 655 }, colorScheme: 'light' });
await page.goto(pathToFileURL(path.resolve(report)).href);
await page.screenshot({ path: picture });
await browser.close();
