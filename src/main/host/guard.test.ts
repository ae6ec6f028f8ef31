import { expect, test } from 'vitest';
import { createGuard } from './guard.ts';

test('the token opens as often as it is given; a ticket once, and the last one only', () => {
  const guard = createGuard(['127.0.0.1'], 7341);
  expect([guard.admits(guard.token), guard.admits(guard.token), guard.admits('x'), guard.admits(null)]).toEqual([true, true, false, false]);
  const first = guard.issueTicket();
  const second = guard.issueTicket();
  expect([guard.admits(first), guard.admits(second), guard.admits(second)]).toEqual([false, true, false]);
});

test('a ticket makes no session by itself: only the cookie that the token is in does', () => {
  const guard = createGuard(['127.0.0.1'], 7341);
  const ticket = guard.issueTicket();
  expect(guard.hasSession({ cookie: `attune-7341=${ticket}` })).toBe(false);
  expect(guard.hasSession({ cookie: `other=1; ${guard.cookie.split(';')[0]}` })).toBe(true);
});
