// What is refused because there is too much of it, and taken again later.

import { BACK, FRONT, advance, client, play, refused, same } from './stage.mjs'

await play(async () => {
  const codes = client().accessCodes
  const created = await codes.createMultiple({ device_ids: [FRONT, BACK] })
  const key = created[0].common_code_key
  // Some SDKs ask again by themselves, and are told the same.
  const many = () => codes.createMultiple({ device_ids: [FRONT, BACK] })
  await refused('many', many, 'busy', 503, 'access codes')
  const one = () => codes.create({ device_id: FRONT })
  await one()
  await refused('one', one, 'busy', 503, 'access codes')
  const listed = [await codes.list({ device_id: FRONT }), await codes.list({ device_id: BACK })]
  same(listed.map((codes) => codes.length), [2, 1], 'no more than the limit')

  const { access_code_id } = created[1]
  const name = async () => (await codes.get({ access_code_id })).name
  const rename = (name) => codes.updateMultiple({ common_code_key: key, name })
  // One that does not wait and ask again: 1.160.0 does for as long as it is told to.
  const impatient = client(undefined, { axiosRetryOptions: { retries: 0 } }).accessCodes
  for (const name of ['first', 'second']) await rename(name)
  for (const [what, call] of [
    ['a group', () => rename('third')],
    ['one', () => impatient.update({ access_code_id, name: 'third' })],
  ])
    await refused(what, call, 'rate_limited', 429, 'more than 2 updates in a minute')
  same(await name(), 'second', 'what is refused changes nothing')

  await advance(60)
  await rename('third')
  same(await name(), 'third', 'a minute later')
  await codes.delete({ access_code_id: created[0].access_code_id })
  await advance(300)
  same((await codes.createMultiple({ device_ids: [FRONT] })).length, 1, 'room again')
})
