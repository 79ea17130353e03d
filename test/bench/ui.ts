import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from '@playwright/test';
import { root } from '../../main/setup/paths.mjs';
import { alternate, type BenchContext, type Benchmark, type Case, median, toCase } from './support/benchmark.ts';
import { launchBrowser } from './support/browser.ts';
import { DELTAS_PER_SECOND, EXPERTS, FRAMES_PER_SECOND, LAYERS, LONG_MESSAGES, startSyntheticCore, TOKENS_PER_FRAME } from './support/synthetic-core.ts';

const MEASURED_SECONDS = 5;
/** frames per second that the live grid must hold */
const FRAME_BAR = 55;
/** frames per second of a long conversation that scrolls by SCROLL_SPEED */
const SCROLL_BAR = 45;
/** px a second: three screens */
const SCROLL_SPEED = 2400;
/** from the start command to the first token of the first reply */
const REPLY_BAR_SECONDS = 10;

const benchmark: Benchmark = {
  description:
    'frames per second of a live expert grid and of a long conversation that is scrolled; time from the start of the app to the first token of a reply',
  async run(context) {
    const browser = await launchBrowser();
    try {
      return [await liveGrid(browser, context), await longConversation(browser, context), await firstReply(browser, context)];
    } finally {
      await browser.close();
    }
  },
};
export default benchmark;

/** Ours: the Experts page with its grid, table and chart. Baseline: an empty page in the same browser. */
async function liveGrid(browser: Browser, { runs, log, command }: BenchContext): Promise<Case> {
  const core = await startSyntheticCore();
  try {
    const pages = { ours: await openGrid(browser, core.url()), baseline: await browser.newPage() };
    const what = `${FRAMES_PER_SECOND} frames/s of ${TOKENS_PER_FRAME} tokens, ${DELTAS_PER_SECOND} deltas/s`;
    command('ours', ['Chromium', `#/experts/live with ${LAYERS} x ${EXPERTS} experts, ${what}`]);
    command('baseline', ['Chromium', 'about:blank']);
    log('live grid: warming up');
    for (const page of [pages.ours, pages.baseline]) await frameRate(page);
    const before = core.frames();
    const [ours, baseline] = await alternate(runs, [() => frameRate(pages.ours), () => frameRate(pages.baseline)]);
    for (const [index, rate] of ours.entries()) log(`  live grid ${index + 1}: ${rate.toFixed(1)}, empty page ${baseline[index]?.toFixed(1)} frames/s`);
    await checkItWasLive(pages.ours, core.frames() - before, runs);
    for (const page of [pages.ours, pages.baseline]) await page.context().close();
    return toCase({ case: `${LAYERS} x ${EXPERTS} live grid`, ours, baseline, unit: 'frames/s', bar: FRAME_BAR / median(baseline) });
  } finally {
    await core.close();
  }
}

async function openGrid(browser: Browser, url: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  await page.goto(url);
  await page.getByRole('link', { name: 'Experts' }).click();
  await page.getByRole('application', { name: /Experts of wide/ }).waitFor();
  return page;
}

/** Ours: a conversation with code, tables and formulas, scrolled up evenly while another one's reply streams. Baseline: an empty page. */
async function longConversation(browser: Browser, { runs, log, command }: BenchContext): Promise<Case> {
  const core = await startSyntheticCore();
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
    await page.goto(core.url());
    await page.getByRole('link', { name: /^Long/ }).click();
    await page.getByText(`Reply ${LONG_MESSAGES - 1}.`).waitFor();
    const empty = await browser.newPage();
    command('ours', ['Chromium', `#/chat/long with ${LONG_MESSAGES} messages, scrolled by ${SCROLL_SPEED} px/s`]);
    const scrolled = async () => {
      const before = await scrollTop(page);
      const rate = await frameRate(page, SCROLL_SPEED);
      const way = before - (await scrollTop(page));
      if (way < SCROLL_SPEED * MEASURED_SECONDS * 0.5) throw new Error(`the list moved by ${way} px only`);
      return rate;
    };
    log('long conversation: warming up');
    await scrolled();
    await frameRate(empty);
    const [ours, baseline] = await alternate(runs, [scrolled, () => frameRate(empty)]);
    for (const [index, rate] of ours.entries()) log(`  long conversation ${index + 1}: ${rate.toFixed(1)}, empty page ${baseline[index]?.toFixed(1)} frames/s`);
    for (const one of [page, empty]) await one.context().close();
    return toCase({ case: `${LONG_MESSAGES} messages, scrolling`, ours, baseline, unit: 'frames/s', bar: SCROLL_BAR / median(baseline) });
  } finally {
    await core.close();
  }
}

const scrollTop = (page: Page): Promise<number> => page.getByRole('region', { name: 'Messages' }).evaluate((list) => list.scrollTop);

/** Frames per second of the page by the times that requestAnimationFrame tells; `scroll`: px a second that the messages are scrolled up by. */
async function frameRate(page: Page, scroll = 0): Promise<number> {
  await page.bringToFront();
  return page.evaluate(
    ({ seconds, scroll }) =>
      new Promise<number>((resolve) => {
        const list = document.querySelector('section[aria-label="Messages"]');
        const times: number[] = [];
        const onFrame = (time: number) => {
          if (list && scroll > 0) list.scrollTop -= (scroll * (time - (times.at(-1) ?? time))) / 1000;
          times.push(time);
          const span = time - (times[0] ?? time);
          if (span < seconds * 1000) requestAnimationFrame(onFrame);
          else resolve(((times.length - 1) * 1000) / span);
        };
        requestAnimationFrame(onFrame);
      }),
    { seconds: MEASURED_SECONDS, scroll },
  );
}

/** A page that shows nothing new is fast too: the grid must have counted what was sent, and be painted in more than the scale's zero. */
async function checkItWasLive(page: Page, framesSent: number, runs: number): Promise<void> {
  const least = runs * MEASURED_SECONDS * FRAMES_PER_SECOND * 0.9;
  if (framesSent < least) throw new Error(`only ${framesSent} expert frames were sent, at least ${least} were due: the machine is too busy`);
  const colours = await page
    .locator('canvas')
    .first()
    .evaluate((canvas) => {
      const context = (canvas as HTMLCanvasElement).getContext('2d'); // the locator matches canvas elements
      const pixels = new Uint32Array(context?.getImageData(0, 0, (canvas as HTMLCanvasElement).width, (canvas as HTMLCanvasElement).height).data.buffer ?? []);
      return { cells: pixels.length, colours: new Set(pixels).size };
    });
  if (colours.cells !== LAYERS * EXPERTS || colours.colours < 10) throw new Error(`the grid was not painted: ${JSON.stringify(colours)}`);
}

/** Ours: `npm start` without its window, with a new data folder, on a checkout that is set up. Baseline: the promise itself. */
async function firstReply(browser: Browser, { runs, log, command }: BenchContext): Promise<Case> {
  command('ours', ['node', 'main/setup/start.mjs', ...startFlags('DIR')]);
  log('first reply: warming up (sets the checkout up if need be)');
  await secondsToReply(browser);
  const ours: number[] = [];
  for (let run = 0; run < runs; run++) {
    ours.push(await secondsToReply(browser));
    log(`  first reply ${run + 1}: ${ours[run]?.toFixed(2)} s`);
  }
  return toCase({ case: 'npm start to first reply', ours, baseline: [REPLY_BAR_SECONDS], unit: 's', bar: 1, better: 'lower' });
}

const startFlags = (dataFolder: string) => ['--browser', '--no-open', '--json', '--data', dataFolder];

async function secondsToReply(browser: Browser): Promise<number> {
  const dataFolder = mkdtempSync(join(tmpdir(), 'moebius-bench-'));
  const page = await browser.newPage();
  const start = performance.now();
  const child = spawn(process.execPath, [join(root, 'main/setup/start.mjs'), ...startFlags(dataFolder)], { stdio: ['ignore', 'pipe', 'inherit'], cwd: root });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  try {
    await page.goto(await announcedUrl(child.stdout, ended));
    await page.getByRole('list', { name: 'Things to try' }).getByRole('button').first().click();
    await page.waitForFunction(() => (document.querySelector('article[aria-label="Reply"] p')?.textContent ?? '') !== '', undefined, { timeout: 120_000 });
    return (performance.now() - start) / 1000;
  } finally {
    await page.close();
    child.kill('SIGINT');
    await ended;
    rmSync(dataFolder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function announcedUrl(output: NodeJS.ReadableStream, ended: Promise<unknown>): Promise<string> {
  let seen = '';
  const url = new Promise<string>((resolve) => {
    output.on('data', (chunk: Buffer) => {
      seen += chunk.toString();
      const found = /http:\/\/[^\s"]*#token=[^\s"]+/.exec(seen)?.[0];
      if (found) resolve(found);
    });
  });
  const failed = ended.then(() => {
    throw new Error(`the app ended before it announced its address:\n${seen}`);
  });
  return Promise.race([url, failed]);
}
