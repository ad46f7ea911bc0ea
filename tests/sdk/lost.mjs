// The answer to the first call is lost on its way: whoever repeats it gets that answer, and no
// second group is made. The same call once more, after an answer, is another booking.

import { BACK, FRONT, advance, client, pins, play, same, time } from './stage.mjs'

await play(async () => {
  const seam = client()
  const stay = {
    device_ids: [FRONT, BACK],
    name: "Jane's reservation",
    starts_at: await time(3600),
    ends_at: await time(2 * 86_400),
  }
  // The SDK repeats it by itself.
  same(process.env.REPEATS, 'sdk', 'who repeats')
  const created = await seam.accessCodes.createMultiple(stay)
  const list = (door) => seam.accessCodes.list({ device_id: door })
  const listed = [await list(FRONT), await list(BACK)]
  same(listed.map((codes) => codes.length), [1, 1], 'one group')
  for (const [n, told] of created.entries()) {
    const [code] = listed[n]
    same(told.access_code_id, code.access_code_id, 'the first result')
    same([told.code, told.common_code_key], [code.code, code.common_code_key], 'the first result')
  }

  // Meant, both of them.
  const second = await seam.accessCodes.createMultiple(stay)
  const third = await seam.accessCodes.createMultiple(stay)
  const groups = [created, second, third]
  same(new Set(groups.map((group) => group[0].common_code_key)).size, 3, 'three groups')
  for (const door of [FRONT, BACK]) same((await list(door)).length, 3, 'a code of each')
  await advance(2 * 3600)
  const wanted = groups.map((group) => group[0].code).sort()
  same([await pins(FRONT), await pins(BACK)], [wanted, wanted], 'on the locks')
})
