// Scanning and pairing. Without Bluetooth the gateway's own answer is shown. The steps are those of answers that this
// script makes up in the shape of the gateway's: tests/ble has the gateway itself pair with simulated locks.

import { insist, open, play, signIn, visit } from './stage.mjs'

const AT = new Date().toISOString()
const NUKI = { address: '54:D2:72:AA:BB:CC', kind: 'nuki', name: 'Nuki_2DAABBCC', device_id: null, rssi: -61, battery_level: null, last_heard: AT }
const TV = { ...NUKI, address: '00:11:22:33:44:55', kind: 'other', name: 'TV' }

await play(async () => {
  const { page, close } = await open()
  await signIn(page)
  await visit(page, '#/pair')
  await page.getByText('This gateway uses no Bluetooth.').waitFor()

  let heard = [NUKI, TV]
  let errand = null
  const asked = []
  const BLUETOOTH = '**/lockbridge/v1/bluetooth'
  await page.route(BLUETOOTH, (route) => route.fulfill({ json: { bluetooth: { outage: null, heard }, ok: true } }))
  await page.route(`${BLUETOOTH}/errand`, (route) =>
    errand
      ? route.fulfill({ json: { errand, ok: true } })
      : route.fulfill({ status: 404, json: { error: { type: 'not_found', message: 'none' }, ok: false } }))
  await page.route(`${BLUETOOTH}/pair`, (route) => {
    const body = route.request().postDataJSON()
    asked.push(body)
    if (body.security_pin.length < 4) {
      const error = { type: 'invalid_input', message: 'security_pin must have four digits, or six for an Ultra' }
      return route.fulfill({ status: 400, json: { error, ok: false } })
    }
    errand = { kind: 'pair', address: body.address, device_id: '0', state: 'running', steps: [{ step: 'button', sentence: 'Hold the button.', at: AT }], problem: null, hint: null }
    return route.fulfill({ json: { errand, ok: true } })
  })

  await page.getByRole('heading', { name: 'Nuki_2DAABBCC' }).waitFor()
  await page.getByText('1 other thing nearby speaks Bluetooth.').waitFor()
  await page.getByRole('button', { name: 'Pair Nuki_2DAABBCC' }).click()
  await page.getByLabel('Security PIN').fill('12')
  await page.getByRole('button', { name: 'Begin to pair' }).click()
  await page.getByText('Security_pin must have four digits').waitFor()
  await page.getByLabel('Security PIN').fill('4711')
  await page.getByLabel('Name of the door').fill('Garden gate')
  await page.getByRole('button', { name: 'Begin to pair' }).click()
  await page.locator('li', { hasText: 'Hold the button.' }).waitFor()
  insist(asked.at(-1).name === 'Garden gate' && asked.at(-1).address === NUKI.address, 'something else was asked', asked.at(-1).address)

  // Step by step, as it happens.
  errand = { ...errand, steps: [...errand.steps, { step: 'pairing', sentence: 'The lock lets itself be paired.', at: AT }] }
  await page.locator('li', { hasText: 'The lock lets itself be paired.' }).waitFor()
  heard = [{ ...NUKI, name: 'Garden gate', device_id: '8e94044d-a4d1-4691-9f7e-e97d3e8a0b73' }]
  errand = { ...errand, state: 'done' }
  await page.locator('.badge', { hasText: 'Done' }).waitFor()
  await page.getByRole('button', { name: 'Test it' }).waitFor()
  errand = { ...errand, kind: 'test', state: 'failed', problem: 'no link to the lock', hint: 'Go nearer.' }
  await page.getByText('no link to the lock').first().waitFor()
  await page.getByText('Go nearer.').waitFor()
  await close(['4711'])
})
