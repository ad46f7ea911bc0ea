// A door that left the gateway holds up no other door: the times are changed and the stay ends where a lock can be told.

import { BACK, FRONT, card, http, insist, makeGroup, open, pins, play, signIn, until, visit } from './stage.mjs'

await play(async () => {
  const { key, code } = await makeGroup('Grace', [FRONT, BACK])
  await until('both locks hold it', async () => [...(await pins(FRONT)), ...(await pins(BACK))].length === 2)
  await http('POST', '/devices/simulate/remove', { device_id: FRONT })
  const { page, close } = await open()
  await signIn(page)
  await visit(page, `#/groups/${encodeURIComponent(key)}`)
  const receipts = async () => (await http('GET', `/lockbridge/v1/groups/${encodeURIComponent(key)}`)).receipts

  const before = await receipts()
  await page.getByText('Change the times').click()
  await page.getByLabel('Until').fill('2030-05-03T11:00')
  await page.getByRole('button', { name: 'Record the new times' }).click()
  await page.getByText('1 door keeps the old times.').waitFor()
  await page.getByText('Front door: left this gateway. Take the PIN off at the lock.').waitFor()
  const [front, back] = await receipts()
  insist(front.ends_at === before[0].ends_at && back.ends_at === '2030-05-03T09:00:00.000Z', 'other times', [front, back])
  insist(back.starts_at === before[1].starts_at, 'a time that nobody changed is another one', back.starts_at)

  await page.getByRole('button', { name: 'End now' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'End now' }).click()
  const dialog = page.getByRole('dialog', { name: '1 door cannot be told' })
  await dialog.getByText('Front door: left this gateway. Take the PIN off at the lock.').waitFor()
  await until('the PIN is off the lock that is there', async () => (await pins(BACK)).length === 0)
  await dialog.getByRole('button', { name: 'End it once more' }).click()
  await dialog.getByRole('button', { name: 'Cancel' }).click()
  await card(page, 'Front door').waitFor()
  await close([code])
})
