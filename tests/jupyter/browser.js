// A headless Chromium that does what it is told, one JSON line at a time, by `browser.py`.
'use strict';

const readline = require('readline');
const { chromium } = require('playwright-core');

const [executable, profile] = process.argv.slice(2);

(async () => {
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: executable,
    headless: true,
    viewport: { width: 1200, height: 720 },
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--no-first-run',
      '--disable-default-apps', '--disable-domain-reliability', '--disable-client-side-phishing-detection'
    ]
  });
  // Nothing but this machine is ever asked.
  await context.route(url => url.hostname !== '127.0.0.1', route => route.abort());
  const page = context.pages()[0] || (await context.newPage());
  const errors = [];
  page.on('pageerror', error => errors.push(String(error)));
  page.setDefaultTimeout(60000);
  const answer = value => process.stdout.write(JSON.stringify(value) + '\n');
  answer({ ok: true });
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const { on, method, args } = JSON.parse(line);
    try {
      if (method === 'errors') {
        answer({ ok: true, value: errors });
        continue;
      }
      const target = on === null ? page : on === 'keyboard' ? page.keyboard : page.locator(on).first();
      const value = await target[method](...args);
      answer({ ok: true, value: ['string', 'number', 'boolean'].includes(typeof value) ? value : null });
    } catch (error) {
      answer({ ok: false, error: String(error) });
    }
  }
  await context.close();
})().catch(error => {
  process.stdout.write(JSON.stringify({ ok: false, error: String(error) }) + '\n');
  process.exit(1);
});
