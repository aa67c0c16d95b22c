import { WritError } from '../base/error.ts';

export function notAuthenticated(): WritError {
  return new WritError('not_authenticated', 'A certificate is renewed for whoever presents one that is valid.', {
    remedy: 'Connect with the certificate that is to be followed, or enrol with a join token.',
  });
}
