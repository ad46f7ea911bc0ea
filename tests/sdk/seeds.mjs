// Seam's documented examples, word for word but for their dates.
//
// Their dates are past, so all are moved by one whole number of days; hours, and the distances
// between them, stay as they are.

import { BACK, FRONT, advance, client, insist, lock, opens, play, same, time } from './stage.mjs'

const DAY = 86_400_000
const now = async () => Date.parse(await time(0))
const days = Math.floor(((await now()) - Date.parse('2024-11-15T15:00:00Z')) / DAY) + 3
const moved = (moment) =>
  new Date(Date.parse(moment) + days * DAY).toISOString().replace('.000Z', 'Z')

// What the gateway says and what the locks truly hold is this PIN in this window.
const inPlace = async (seam, pin, key, ...times) => {
  await advance(300)
  const window = times.map(Date.parse)
  const windowOf = (one) => [one.starts_at, one.ends_at].map(Date.parse)
  for (const door of [FRONT, BACK]) {
    const codes = await seam.accessCodes.list({ device_id: door })
    same(codes.length, 1, 'listed')
    same([codes[0].code, codes[0].common_code_key], [pin, key], 'listed')
    same(windowOf(codes[0]), window, 'the window that is listed')
    same([codes[0].status, codes[0].is_scheduled_on_device], ['unset', true], 'held ahead of its time')
    const rows = (await lock(door)).codes
    same([rows.length, rows[0].code], [1, pin], 'on the lock')
    same(windowOf(rows[0]), window, 'the window on the lock')
    insist(!(await opens(door, pin)), 'its time has not come')
  }
}

await play(async () => {
  const seam = client()

  // Create the group of linked access codes.
  // Each returned access code includes a common_code_key.
  const created = await seam.accessCodes.createMultiple({
    device_ids: [
      "8e94044d-a4d1-4691-9f7e-e97d3e8a0b73",
      "d87eea5d-71c6-4633-a966-396c5ac51177"
    ],
    name: "Jane's reservation",
    starts_at: moved("2024-11-15T15:00:00Z"),
    ends_at: moved("2024-11-17T11:00:00Z"),
    preferred_code_length: 4
  });

  same(created.map((code) => code.device_id), [FRONT, BACK], 'devices in the order given')
  const { code: pin, common_code_key: commonCodeKey } = created[0]
  insist(/^[0-9]{4}$/.test(pin), 'four digits, as preferred', pin)
  insist(commonCodeKey.startsWith('auto_set_by_create_multiple_'), 'the key', commonCodeKey)
  for (const code of created) {
    same([code.code, code.common_code_key], [pin, commonCodeKey], 'one PIN, one key')
    same(code.name, "Jane's reservation", 'name')
    // As the documented answer has it: UTC, with milliseconds.
    same(code.starts_at, moved('2024-11-15T15:00:00Z').replace('Z', '.000Z'), 'start')
    same(code.ends_at, moved('2024-11-17T11:00:00Z').replace('Z', '.000Z'), 'end')
    same([code.type, code.status, code.is_managed], ['time_bound', 'unset', true], 'state')
  }
  await inPlace(seam, pin, commonCodeKey, moved('2024-11-15T15:00:00Z'), moved('2024-11-17T11:00:00Z'))

  // Update the starting and ending times
  // for all these linked access codes,
  // using the common_code_key to identify
  // the group of access codes to update.
  const told = await seam.accessCodes.updateMultiple({
    common_code_key: commonCodeKey,
    starts_at: moved("2024-11-15T12:00:00Z"),
    ends_at: moved("2024-11-17T15:00:00Z")
  });

  same(told, undefined, 'as documented')
  await inPlace(seam, pin, commonCodeKey, moved('2024-11-15T12:00:00Z'), moved('2024-11-17T15:00:00Z'))

  // And so it comes to pass.
  for (const [moment, openThen] of [
    ['2024-11-15T12:00:00Z', true],
    ['2024-11-17T15:00:00Z', false],
  ]) {
    await advance(Math.ceil((Date.parse(moved(moment)) - (await now())) / 1000) + 1)
    for (const door of [FRONT, BACK]) same(await opens(door, pin), openThen, `${door} at ${moment}`)
  }
})
