// Opens a report in a real browser, as a page and in a frame as Kubeflow shows it. Fails on console messages, network
// requests, figures that differ from metrics.json, horizontal overflow, low contrast and accessibility faults.
//
//   node check.mjs REPORT.html METRICS.json [SCREENSHOT_DIR]
//
// CHROMIUM is the path of the browser (default /usr/bin/chromium). Exit code 0: no faults; 1: faults, which are printed.

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
const check = (passed, message) => {
  if (!passed) faults.push(message);
};

// Kubeflow frames the report in a sandbox that allows scripts and has no origin.
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
  page.on('console', (message) => faults.push(`${name}: console message: ${message.text()}`));
  page.on('pageerror', (error) => faults.push(`${name}: page error: ${error.message}`));
  page.on('request', (request) => {
    const isLocal = request.url() === url || request.url().startsWith('data:') || request.url() === 'about:srcdoc';
    check(isLocal, `${name}: request to ${request.url()}`);
  });
  await page.goto(url);
  return { context, page, name };
}

// Every figure on the page as its reader sees it.
const figures = (frame) => frame.evaluate(() => Array.from(document.querySelectorAll('[data-metric]'),
  (element) => [element.dataset.metric, element.textContent]));

function compare(shown, where) {
  const names = new Set();
  for (const [name, text] of shown) {
    names.add(name);
    const number = Number(text.replaceAll(',', ''));
    check(name in metrics, `${where}: ${name} is on the page, but not in metrics.json`);
    check(number === metrics[name], `${where}: ${name} is ${metrics[name]}, but the page shows ${text}`);
  }
  // Rows that say nothing are left out.
  for (const [name, value] of Object.entries(metrics)) {
    check(names.has(name) || value === 0, `${where}: ${name} is not on the page`);
  }
}

// Checks that need layout and computed styles; runs in the page.
function inspect() {
  const faults = [];
  const root = document.documentElement;
  if (root.scrollWidth > root.clientWidth) faults.push(`the page is ${root.scrollWidth} px wide: it overflows`);
  for (const element of document.querySelectorAll('section, table, tr, td, th, figure, svg, article, .text, dl, dd, ul, form, p')) {
    if (!element.checkVisibility()) continue;
    const box = element.getBoundingClientRect();
    if (box.right > root.clientWidth + 1 || box.left < -1) {
      faults.push(`<${element.tagName.toLowerCase()}> reaches from ${box.left} to ${box.right} px: ${element.textContent.trim().slice(0, 40)}`);
    }
    if (element.tagName !== 'svg' && element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).display !== 'inline') {
      faults.push(`<${element.tagName.toLowerCase()}> overflows by ${element.scrollWidth - element.clientWidth} px: ${element.textContent.trim().slice(0, 40)}`);
    }
  }
  for (const svg of document.querySelectorAll('svg')) {
    const [title, description] = svg.getAttribute('aria-labelledby').split(' ').map((id) => document.getElementById(id));
    if (!title?.textContent || !description?.textContent) faults.push('chart without title or description');
    if (svg.clientWidth === 0 && svg.getBoundingClientRect().width === 0) continue;
    const box = svg.getBoundingClientRect();
    for (const label of svg.querySelectorAll('text')) {
      const text = label.getBoundingClientRect();
      const inside = text.left >= box.left - 1 && text.right <= box.right + 1 && text.top >= box.top - 1
        && text.bottom <= box.bottom + 1;
      if (!inside) faults.push(`"${label.textContent.trim()}" is outside its chart`);
      if (text.height < 8) faults.push(`"${label.textContent.trim()}" is ${text.height.toFixed(1)} px high`);
    }
  }
  const ids = Array.from(document.querySelectorAll('[id]'), (element) => element.id);
  if (new Set(ids).size !== ids.length) faults.push('duplicate id');
  let level = 0;
  for (const heading of document.querySelectorAll('h1,h2,h3,h4')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) faults.push(`heading level skipped: ${heading.textContent}`);
    level = next;
  }
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption?.textContent.trim()) faults.push('table without a caption');
  }

  // Contrast of text by WCAG 2: at least 4.5.
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (colors) => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) {
      canvas.fillStyle = color;
      canvas.fillRect(0, 0, 1, 1);
    }
    return Array.from(canvas.getImageData(0, 0, 1, 1).data).slice(0, 3);
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
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
    const foreground = element.closest('svg') ? style.fill : style.color;
    const key = [foreground, ...backgrounds].join();
    if (seen.has(key)) continue;
    seen.add(key);
    const [a, b] = [luminance(rgb([...backgrounds])), luminance(rgb([...backgrounds, foreground]))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) faults.push(`contrast ${contrast.toFixed(2)}: ${node.textContent.trim().slice(0, 40)}`);
  }
  return faults;
}

const here = pathToFileURL(path.resolve(report)).href;
for (const colorScheme of ['light', 'dark']) {
  for (const width of [400, 1000, 1600]) {
    const { context, page, name } = await open(here, { viewport: { width, height: 900 }, colorScheme });
    for (const fault of await page.evaluate(inspect)) faults.push(`${name}: ${fault}`);
    compare(await figures(page), name);
    check((await page.evaluate(() => document.scripts.length)) === 1, `${name}: the page has not one script`);
    // Everything that can be unfolded fits, too.
    await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true; }));
    for (const fault of await page.evaluate(inspect)) faults.push(`${name}, unfolded: ${fault}`);
    if (screenshots) {
      await page.screenshot({ path: path.join(screenshots, `report-${width}-${colorScheme}.png`), fullPage: true });
    }
    await context.close();
  }
}

// Search and filter, and a page whose scripts are off.
{
  const options = { viewport: { width: 1000, height: 900 }, colorScheme: 'light' };
  const { context, page, name } = await open(here, options);
  const samples = page.locator('.sample');
  const all = await samples.count();
  const shown = () => page.locator('.sample:visible').count();
  check(all > 0 && (await shown()) === all, `${name}: ${await shown()} of ${all} samples are shown`);
  await page.locator('.filter select').first().selectOption({ index: 1 });
  const ofSource = await shown();
  check(ofSource > 0 && ofSource < all, `${name}: the filter shows ${ofSource} of ${all} samples`);
  await page.locator('.filter input').fill('no sample has these words');
  check((await shown()) === 0, `${name}: a search without a match shows samples`);
  await page.locator('.filter input').fill('');
  await page.locator('.filter select').first().selectOption({ index: 0 });
  check((await shown()) === all, `${name}: an empty search hides samples`);
  await context.close();
  const plain = await open(here, { ...options, javaScriptEnabled: false });
  check((await plain.page.locator('.sample:visible').count()) === all, 'without scripts: samples are hidden');
  check(!(await plain.page.locator('.filter').isVisible()), 'without scripts: the search is shown');
  await plain.context.close();
}

// In a frame.
{
  const options = { viewport: { width: 1000, height: 900 }, colorScheme: 'light' };
  const { context, page } = await open(framedUrl, options);
  const framed = page.frames().find((candidate) => candidate !== page.mainFrame());
  await framed.waitForSelector('h1');
  compare(await figures(framed), 'framed');
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
console.log(`${report}: ${Object.keys(metrics).length} figures agree and nothing overflows at 400, 1000 and 1600 px, in light and dark, and framed`);
