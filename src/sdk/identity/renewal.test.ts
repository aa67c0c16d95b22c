import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { firstTry, pauseAfter } from './renewal.ts';

const HOUR = 3_600_000;
const unit = fc.double({ min: 0, max: 0.999_999, noNaN: true });

test('the first try comes when the authority would like it, or up to a tenth of the lifetime before', () => {
  const hour = { notBefore: 0, renewAfter: 2_400_000, notAfter: HOUR };
  assert.equal(
    firstTry(hour, () => 0),
    2_400_000,
  );
  assert.equal(
    firstTry(hour, () => 0.5),
    2_220_000,
  );
  fc.assert(
    fc.property(fc.integer({ min: 300_000, max: 24 * HOUR }), unit, (lifetime, random) => {
      const renewAfter = 1000 + (lifetime * 2) / 3;
      const at = firstTry({ notBefore: 1000, renewAfter, notAfter: 1000 + lifetime }, () => random);
      assert.ok(at <= renewAfter && at > 1000 + lifetime * 0.56);
    }),
  );
});

test('pauses grow to a minute, are never two alike for all, and leave room for another try', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1000 }),
      fc.integer({ min: 0, max: HOUR }),
      unit,
      (failures, left, random) => {
        const pause = pauseAfter(failures, left, () => random);
        assert.ok(pause >= 500 && pause <= 60_000);
        assert.ok(pause <= Math.max(500, left / 2));
      },
    ),
  );
  assert.ok(pauseAfter(10, HOUR, () => 0) < pauseAfter(10, HOUR, () => 0.9));
  assert.ok(pauseAfter(1, HOUR, () => 0.5) < pauseAfter(4, HOUR, () => 0.5));
});
