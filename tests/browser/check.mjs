// Opens a report in a real browser, as a reader and as Kubeflow's frame would, and looks for what must not be:
// a word on the console, a request to anywhere, a figure that differs from metrics.json, a page wider than its window,
// text too faint to read.
//
//   node check.mjs REPORT.html METRICS.json [SCREENSHOT_DIR]
//
// CHROMIUM names the browser (default /usr/bin/chromium). Exit code 0: all is well; 1: what is not is printed.

import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const [report, metricsFile, screenshots] = process.argv.slice(2);
if (!report || !metricsFile) {
  console.error('usage: check.mjs REPORT.html METRICS.json [SCREENSHOT_DIR]');
  process.exit(2);
}
const html = await readFile(report, 'utf8');
const metrics = JSON.parse(await readFile(metricsFile, 'utf8'));
if (screenshots) await mkdir(screenshots, { recursive: true });

const faults = [];
const check = (holds, words) => {
  if (!holds) faults.push(words);
};

// A page that frames the report as Kubeflow does: a sandbox with scripts and without an origin of its own.
const attribute = html.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
const frame = `<!doctype html><html lang="en"><title>frame</title><link rel="icon" href="data:,">
  <iframe title="report" sandbox="allow-scripts" style="width:100%;height:2000px;border:0" srcdoc="${attribute}"></iframe>`;
const server = createServer((_, response) => {
  response.setHeader('content-type', 'text/html; charset=utf-8');
  response.end(frame);
});
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const framedUrl = `http://127.0.0.1:${server.address().port}/`;

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
});

async function open(url, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const name = `${options.viewport.width} px, ${options.colorScheme}`;
  page.on('console', (message) => faults.push(`${name}: the console says: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`${name}: an error: ${error.message}`));
  page.on('request', (request) => {
    const own = request.url() === url || request.url().startsWith('data:') || request.url() === 'about:srcdoc';
    check(own, `${name}: a request to ${request.url()}`);
  });
  await page.goto(url);
  return { context, page, name };
}

// Every figure on the page, as its reader sees it.
const figures = (frame) => frame.evaluate(() => Array.from(document.querySelectorAll('[data-metric]'),
  (element) => [element.dataset.metric, element.textContent]));

function compare(seen, where) {
  const names = new Set();
  for (const [name, text] of seen) {
    names.add(name);
    const number = Number(text.replaceAll(',', ''));
    check(name in metrics, `${where}: the page shows ${name}, which metrics.json does not have`);
    check(number === metrics[name], `${where}: ${name} is ${metrics[name]} and the page shows ${text}`);
  }
  for (const name of Object.keys(metrics)) check(names.has(name), `${where}: the page does not show ${name}`);
}

// What only a browser knows: runs in the page.
function inspect() {
  const found = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} px wide`);
  for (const svg of document.querySelectorAll('svg')) {
    const [title, text] = svg.getAttribute('aria-labelledby').split(' ').map((id) => document.getElementById(id));
    if (!title?.textContent || !text?.textContent) found.push('a chart without words');
    if (svg.clientWidth === 0 && svg.getBoundingClientRect().width === 0) continue;
    const box = svg.getBoundingClientRect();
    for (const label of svg.querySelectorAll('text')) {
      const place = label.getBoundingClientRect();
      const inside = place.left >= box.left - 1 && place.right <= box.right + 1 && place.top >= box.top - 1
        && place.bottom <= box.bottom + 1;
      if (!inside) found.push(`"${label.textContent.trim()}" leaves its chart`);
      if (place.height < 8) found.push(`"${label.textContent.trim()}" is ${place.height.toFixed(1)} px high`);
    }
  }
  const ids = Array.from(document.querySelectorAll('[id]'), (element) => element.id);
  if (new Set(ids).size !== ids.length) found.push('an id is there twice');
  let level = 0;
  for (const heading of document.querySelectorAll('h1,h2,h3,h4')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) found.push(`a heading too deep: ${heading.textContent}`);
    level = next;
  }
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption?.textContent.trim()) found.push('a table without a caption');
  }

  // Contrast as WCAG 2 counts it: 4.5 for text.
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colours) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const colour of colours) {
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
    }
    return Array.from(canvas.getImageData(0, 0, 1, 1).data).slice(0, 3);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !element.checkVisibility() || element.closest('title,desc')) continue;
    const backgrounds = [];
    for (let at = element; at; at = at.parentElement) backgrounds.unshift(getComputedStyle(at).backgroundColor);
    const style = getComputedStyle(element);
    const ink = element.closest('svg') ? style.fill : style.color;
    const key = [ink, ...backgrounds].join();
    if (seen.has(key)) continue;
    seen.add(key);
    const [a, b] = [light(rgb([...backgrounds])), light(rgb([...backgrounds, ink]))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) found.push(`a contrast of ${contrast.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return found;
}

const here = pathToFileURL(path.resolve(report)).href;
for (const colorScheme of ['light', 'dark']) {
  for (const width of [360, 800, 1400]) {
    const { context, page, name } = await open(here, { viewport: { width, height: 900 }, colorScheme });
    for (const fault of await page.evaluate(inspect)) faults.push(`${name}: ${fault}`);
    compare(await figures(page), name);
    check((await page.evaluate(() => document.scripts.length)) === 0, `${name}: a script is on the page`);
    if (screenshots) {
      await page.screenshot({ path: path.join(screenshots, `report-${width}-${colorScheme}.png`), fullPage: true });
    }
    await context.close();
  }
}

// Within a frame, as an engine's page shows it.
{
  const options = { viewport: { width: 1000, height: 900 }, colorScheme: 'light' };
  const { context, page } = await open(framedUrl, options);
  const framed = page.frames().find((candidate) => candidate !== page.mainFrame());
  await framed.waitForSelector('h1');
  compare(await figures(framed), 'in a frame');
  if (screenshots) await page.screenshot({ path: path.join(screenshots, 'report-framed.png') });
  await context.close();
}

await browser.close();
server.close();
if (faults.length) {
  console.error(`${report}: ${faults.length} faults`);
  for (const fault of faults.slice(0, 50)) console.error(`  ${fault}`);
  process.exit(1);
}
console.log(`${report}: ${Object.keys(metrics).length} figures agree at three widths, light, dark and framed`);
