// What every scenario needs: a browser, the page in it, and hands on the locks.
//
// Endpoint and keys come in the environment, where no list of processes shows them.

import { chromium } from 'playwright-core'

export const { BLIND, ENDPOINT, GATEWAY, KEY } = process.env

export const FRONT = '8e94044d-a4d1-4691-9f7e-e97d3e8a0b73'
export const BACK = 'd87eea5d-71c6-4633-a966-396c5ac51177'
export const CELLAR = '11111111-0000-4000-8000-000000000001'
export const SAFE = '11111111-0000-4000-8000-000000000002'

export const PHONE = { width: 390, height: 844 }
export const DESK = { width: 1280, height: 800 }

export const insist = (holds, what, told) => {
  if (!holds) throw new Error(`${what}; told: ${JSON.stringify(told)}`)
}

// One call by plain HTTP with the key.
export const http = async (method, path, body) => {
  const answer = await fetch(`http://${GATEWAY}${path}`, {
    method,
    headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
    signal: AbortSignal.timeout(60_000),
  })
  const told = await answer.json()
  insist(answer.status === 200 && told.ok === true, `${method} ${path}`, told)
  return told
}

export const goAway = (device_id) => http('POST', '/devices/simulate/disconnect', { device_id })
export const comeBack = (device_id) => http('POST', '/devices/simulate/connect', { device_id })

// The PINs that a lock truly holds.
export const pins = async (device) =>
  (await http('GET', `/lockbridge/v1/sim/devices/${device}/table`)).codes.map(({ code }) => code)

export const inHours = (hours) => new Date(Date.now() + hours * 3_600_000).toISOString()

// A group from an hour ago until tomorrow.
export const makeGroup = async (name, device_ids) => {
  const body = { name, device_ids, starts_at: inHours(-1), ends_at: inHours(24) }
  const { access_codes: codes } = await http('POST', '/access_codes/create_multiple', body)
  return { key: codes[0].common_code_key, code: codes[0].code, codes }
}

// Waits until something holds that no element of the page tells.
export const until = async (what, holds) => {
  const limit = Date.now() + 30_000
  while (!(await holds())) {
    insist(Date.now() < limit, `it never came true: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

let browser

// The page in a browser of its own. All that it asks for, says and keeps is held against what it must not.
export const open = async ({ viewport = PHONE, endpoint = ENDPOINT, ...options } = {}) => {
  const context = await browser.newContext({ viewport, timezoneId: 'Europe/Berlin', locale: 'de-DE', ...options })
  context.setDefaultTimeout(30_000)
  const page = await context.newPage()
  const witness = { urls: [], said: [], faults: [] }
  page.on('request', (request) => witness.urls.push(request.url()))
  // What the page's own policy stopped did not leave.
  page.on('requestfailed', (request) => {
    if (request.failure().errorText === 'csp') witness.urls.splice(witness.urls.indexOf(request.url()), 1)
  })
  page.on('console', (message) => witness.said.push(message.text()))
  page.on('pageerror', (error) => witness.faults.push(String(error)))
  await page.goto(`${endpoint}/`)
  await page.getByLabel('API key').waitFor()
  return {
    page,
    // Ends it, and insists that nothing leaked and nothing broke.
    close: async (secrets = []) => {
      const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]))
      insist(witness.faults.length === 0, 'the page broke', witness.faults)
      const away = witness.urls.filter((url) => !url.startsWith(`${endpoint}/`))
      insist(away.length === 0, 'a request left the origin', away)
      for (const secret of [KEY, ...secrets]) {
        const leaks = [...witness.urls, ...witness.said, kept].filter((text) => text.includes(secret))
        insist(leaks.length === 0, 'a secret stands in an address, the console or the storage', leaks.length)
      }
      await context.close()
    },
  }
}

export const signIn = async (page, key = KEY) => {
  await page.getByLabel('API key').fill(key)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByText('Live', { exact: true }).waitFor()
}

// Shows a view by its address, within the page that is loaded.
export const visit = (page, hash) => page.evaluate((hash) => (location.hash = hash), hash)

// A card by the heading that it has.
export const card = (page, name) => page.locator('li.card').filter({ has: page.getByRole('heading', { name }) })

// How it is with a door, in the page's own word.
export const shows = (page, name, word) => card(page, name).locator('.badge', { hasText: word }).waitFor()

export const play = async (scenario) => {
  const root = process.getuid() === 0
  browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    // Chromium has no sandbox for root.
    args: ['--disable-gpu', '--disable-dev-shm-usage', ...(root ? ['--no-sandbox'] : [])],
  })
  try {
    await scenario()
    console.log('played to the end')
  } finally {
    await browser.close()
  }
}
