// The end of a stay by its times: over at one door, then at all, and neither "not due" nor a PIN to show after it.

import { BACK, FRONT, card, http, insist, inHours, makeGroup, open, pins, play, shows, signIn, until, visit } from './stage.mjs'

const advance = (hours) => http('POST', '/lockbridge/v1/sim/clock', { advance_s: hours * 3600 })

await play(async () => {
  const { key, code, codes } = await makeGroup('Grace', [FRONT, BACK])
  const { access_code_id } = codes.find(({ device_id }) => device_id === FRONT)
  await http('POST', '/access_codes/update', { access_code_id, ends_at: inHours(2) })
  await until('both locks hold it', async () => [...(await pins(FRONT)), ...(await pins(BACK))].length === 2)
  const { page, close } = await open()
  await signIn(page)
  const group = `#/groups/${encodeURIComponent(key)}`
  const there = async () => {
    // The page learns the gateway's time on its way.
    await visit(page, '#/groups')
    await page.getByRole('heading', { name: 'Groups' }).waitFor()
    await visit(page, group)
  }

  // The first door is over. The group is what it is at the other.
  await advance(3)
  await until('the PIN is off the first lock', async () => (await pins(FRONT)).length === 0)
  await there()
  await shows(page, 'Front door', 'Over')
  await card(page, 'Front door').getByText(/Gone from the lock since .*\d\d:\d\d:\d\d/).waitFor()
  await page.getByText('Proven on 1 door', { exact: true }).waitFor()
  await page.getByRole('button', { name: 'Show PIN' }).click()
  await page.locator('output', { hasText: code }).waitFor()
  await page.getByText('Change the times').click()
  const { receipts } = await http('GET', `/lockbridge/v1/groups/${encodeURIComponent(key)}`)
  const ends = await page.evaluate((time) => new Date(time).getMinutes(), receipts.at(-1).ends_at)
  insist(Number((await page.getByLabel('Until').inputValue()).slice(-2)) === ends, 'the form has the times of a door that is over', ends)

  // Longer, for the door where it is not over.
  await page.getByLabel('Until').fill('2030-05-03T11:00')
  await page.getByRole('button', { name: 'Record the new times' }).click()
  await page.getByText(/ – Fri 3 May 2030, 11:00$/).first().waitFor()
  await shows(page, 'Front door', 'Over')
  insist((await pins(FRONT)).length === 0, 'a door that was over opens anew')

  // Over at both.
  const ongoing = receipts.at(-1).access_code_id
  await http('POST', '/access_codes/update', { access_code_id: ongoing, ends_at: inHours(4) })
  await advance(2)
  await until('the PIN is off the other lock', async () => (await pins(BACK)).length === 0)
  await there()
  await page.getByText('No lock holds a code of this group any more.').first().waitFor()
  insist((await page.getByRole('button', { name: 'End now' }).count()) === 0, 'it can be ended once more')
  insist((await page.getByRole('button', { name: 'Show PIN' }).count()) === 0, 'a PIN that is over is offered')
  await close([code])
})
