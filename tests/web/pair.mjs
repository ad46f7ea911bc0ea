// Scanning and pairing. Without Bluetooth the gateway's own answer is shown. The steps are those of answers that this
// script makes up in the shape of the gateway's: tests/ble has the gateway itself pair with simulated locks.

import { look } from './look.mjs'
import { open, play, signIn, visit } from './stage.mjs'

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
  const BLUETOOTH = '**/lockbridge/v1/bluetooth'
  await page.route(BLUETOOTH, (route) => route.fulfill({ json: { bluetooth: { outage: null, heard }, ok: true } }))
  await page.route(`${BLUETOOTH}/errand`, (route) =>
    errand
      ? route.fulfill({ json: { errand, ok: true } })
      : route.fulfill({ status: 404, json: { error: { type: 'not_found', message: 'none' }, ok: false } }))
  await page.getByRole('heading', { name: 'Nuki_2DAABBCC' }).waitFor()
  await page.getByText('1 other thing nearby speaks Bluetooth.').waitFor()
  // The pairing begins on the gateway's machine.
  await page.getByText('sudo lockbridge pair nuki 54:D2:72:AA:BB:CC').waitFor()
  errand = { kind: 'pair', address: NUKI.address, device_id: '0', state: 'running', steps: [], problem: null, hint: null }
  await page.locator('.badge', { hasText: 'Under way' }).waitFor()

  // Step by step, as it happens.
  for (const sentence of ['Hold the button.', 'The lock lets itself be paired.']) {
    errand = { ...errand, steps: [...errand.steps, { step: 'any', sentence, at: AT }] }
    await page.locator('ol li', { hasText: sentence }).waitFor()
  }
  heard = [{ ...NUKI, name: 'Garden gate', device_id: '8e94044d-a4d1-4691-9f7e-e97d3e8a0b73' }]
  errand = { ...errand, state: 'done' }
  await page.locator('.badge', { hasText: 'Done' }).waitFor()
  await page.getByRole('button', { name: 'Test it' }).waitFor()
  await look(page, 'who is heard, and the steps')
  await page.route(`${BLUETOOTH}/test`, (route) => {
    errand = { ...errand, kind: 'test', state: 'running', steps: [] }
    return route.fulfill({ json: { errand, ok: true } })
  })
  await page.getByRole('button', { name: 'Test it' }).click()
  await page.getByRole('heading', { name: 'Test of 54:D2:72:AA:BB:CC' }).waitFor()
  errand = { ...errand, state: 'failed', problem: 'no link to the lock', hint: 'Go nearer.' }
  await page.getByText('no link to the lock').first().waitFor()
  await page.getByText('Go nearer.').waitFor()
  await close()
})
