// Door commands, and what the SDK makes of an action attempt.

import {
  BACK, FRONT, NOBODY, advance, client, fault, insist, lock, play, refused, same, sdk, time, words,
} from './stage.mjs'

const fails = async (what, call, kind) => {
  let told
  try {
    told = await call()
  } catch (error) {
    insist(error.constructor === sdk[kind], `${what}: ${error}: not a ${kind}`, error.name)
    insist(error.actionAttempt.action_attempt_id, `${what}: which attempt`, error)
    return error
  }
  throw new Error(`${what}: no ${kind}; told: ${JSON.stringify(told)}`)
}

await play(async () => {
  const seam = client()
  const { locks, actionAttempts } = seam
  const since = await time(-60)
  const truth = async () => (await lock(FRONT)).locked
  // It waits for the end by itself.
  let done = await locks.unlockDoor({ device_id: FRONT })
  same([done.action_type, done.status, done.error], ['UNLOCK_DOOR', 'success', null], 'unlocked')
  same(await truth(), false, 'the truth of the lock')
  const front = await seam.devices.get({ device_id: FRONT })
  same(front.properties.locked, false, 'and what is known of it')
  done = await locks.lockDoor({ device_id: FRONT }, { waitForActionAttempt: true })
  same([done.action_type, done.status, await truth()], ['LOCK_DOOR', 'success', true], 'locked')
  // Or not.
  const begun = await locks.unlockDoor({ device_id: FRONT }, { waitForActionAttempt: false })
  same([begun.action_type, begun.status], ['UNLOCK_DOOR', 'pending'], 'under way')
  same([begun.result, begun.error], [null, null], 'nothing to tell yet')
  const { action_attempt_id } = begun
  done = await actionAttempts.get(
    { action_attempt_id },
    { waitForActionAttempt: { timeout: 30_000, pollingInterval: 100 } },
  )
  same([done.action_attempt_id, done.status], [action_attempt_id, 'success'], 'waited for later')
  same((await actionAttempts.list({ device_id: FRONT })).length, 3, 'all attempts of the door')
  const named = await actionAttempts.list({ action_attempt_ids: [action_attempt_id] })
  same(words(named, 'action_attempt_id'), [action_attempt_id], 'by its id')
  const paginator = seam.createPaginator(actionAttempts.list({ device_id: FRONT, limit: 2 }))
  same((await paginator.flattenToArray()).length, 3, 'page by page')

  // A lock that says no, and one that does not answer.
  await fault(FRONT, { kind: 'refuse', count: 1 })
  const refusing = await fails(
    'a lock that refuses',
    () => locks.lockDoor({ device_id: FRONT }),
    'SeamActionAttemptFailedError',
  )
  same(refusing.actionAttempt.status, 'error', 'its status')
  await fault(BACK, { kind: 'hang', count: 1 })
  const silent = await fails(
    'a silent lock',
    () =>
      locks.lockDoor(
        { device_id: BACK },
        { waitForActionAttempt: { timeout: 60_000, pollingInterval: 100 } },
      ),
    'SeamActionAttemptFailedError',
  )
  insist(silent.code && refusing.code, 'a type', silent)
  insist(silent.code !== refusing.code, 'which tells one from the other', silent.code)
  insist(silent.message, 'a message', silent)
  // A caller who does not wait for long.
  await fault(BACK, { kind: 'hang', count: 1 })
  await fails(
    'too slow',
    () =>
      locks.unlockDoor({ device_id: BACK }, { waitForActionAttempt: { timeout: 1, pollingInterval: 10 } }),
    'SeamActionAttemptTimeoutError',
  )
  // The SDK asks on behind our back until it has ended.
  await advance(60)

  const events = await seam.events.list({
    since,
    event_types: ['lock.locked', 'lock.unlocked'],
    device_id: FRONT,
  })
  const kinds = ['lock.unlocked', 'lock.locked', 'lock.unlocked']
  same(words(events, 'event_type'), kinds, 'what was told of the door')
  same([...new Set(words(events, 'method'))], ['remote'], 'and how')
  await refused(
    "nobody's attempt",
    () => actionAttempts.get({ action_attempt_id: NOBODY }),
    'action_attempt_not_found',
    404,
    'no such',
  )
  await refused(
    "nobody's door",
    () => locks.lockDoor({ device_id: NOBODY }),
    'device_not_found',
    404,
    NOBODY,
  )
})
