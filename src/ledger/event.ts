/**
 * The closed list of what the ledger can say, with the body's members for each in `docs/LEDGER.md`. A type, once
 * released, keeps its name and its meaning for ever: old entries are read by new versions.
 */
const EVENT_TYPES = {
  // the log and the installation
  'log.started':
    'A log began. Names its keys and, when the tail of the log before was lost, that log’s last checkpoint.',
  'log.clock_set_back': 'The clock had been ahead. Says from when to when it went; what follows has the smaller times.',
  'backup.made': 'A backup was written; says the size of the log in it.',
  'restore.replayed': 'Revocations that only the anchor still knew were recorded again after a restore.',
  'passphrase.changed': 'Every private key was sealed under another passphrase.',
  // certificate authorities
  'authority.created': 'A root, intermediate or issuing authority came into being. Holds its certificate.',
  'authority.rotated': 'An authority took over from another.',
  'authority.retired': 'An authority signs no more.',
  'authority.key_moved': 'The private key of a root was written to a file and taken out of the database.',
  'crl.signed': 'A certificate revocation list was signed. Holds its number and digest.',
  // who may hold an identity
  'agent.registered': 'An agent or service was registered with an accountable owner.',
  'agent.updated': 'Its registration changed: owner, purpose, environment, model, labels, standing.',
  'agent.retired': 'It was retired for ever.',
  'owner.updated': 'A team that answers for agents is gone, or is back.',
  'token.created': 'A join token was made. Never holds the token.',
  'token.used': 'A join token let an instance in.',
  'token.revoked': 'A join token was withdrawn.',
  'token.refused': 'Join tokens were refused; one entry for many refusals.',
  'attestor.added': 'A source of evidence was configured. Holds its parameters.',
  'attestor.removed': 'A source of evidence counts no more.',
  'entry.created': 'It was said what must be attested, and as which agent or service the bearer is let in.',
  'entry.removed': 'A registration entry counts no more.',
  'evidence.refused': 'Evidence was refused, and why; one entry for many refusals.',
  'workload.refused': 'A node refused a caller of its own, and why; one entry for many refusals.',
  'instance.enrolled': 'A running copy was let in, with the evidence that was believed.',
  'evidence.added': 'More is attested of an instance than when it was let in. Holds the facts.',
  'instance.changed': 'What runs is not what was let in. Holds the names of the facts that are other ones now.',
  'instance.stopped': 'An instance was stopped; its id is burnt.',
  // certificates
  'certificate.issued': 'A certificate was signed for an instance, operator or server. Holds the DER.',
  'certificate.renewed': 'The holder of a certificate got its successor. Holds the DER.',
  'certificate.replaced': 'An authorised person had a certificate replaced. Holds the DER.',
  'certificate.revoked': 'A certificate was revoked, for ever, with reason and cause.',
  'revocation.effective': 'How fast a stop took effect at the enforcement points that were connected here.',
  'certificate.refused': 'A request for a certificate was refused by guard or policy.',
  'key.reuse_refused': 'A key that is in use for another instance was refused.',
  // the cord
  'certificate.quarantined': 'A certificate is held, by itself or because of a stop that reaches it.',
  'certificate.released': 'A certificate is held no more.',
  'instance.quarantined': 'An instance is held, perhaps with all that it let in.',
  'instance.released': 'It is held no more.',
  'agent.quarantined': 'An agent or service is held with all its instances.',
  'agent.released': 'It is held no more.',
  'owner.quarantined': 'All agents of a team are held.',
  'owner.released': 'They are held no more.',
  'label.quarantined': 'All agents and instances with a label are held.',
  'label.released': 'They are held no more.',
  'authority.quarantined': 'An authority is held: it issues nothing, and what it issued has no force.',
  'authority.released': 'It is held no more.',
  'authority.stopped': 'An authority is held for ever.',
  'stop.revocation_asked': 'Somebody asked that a quarantine be for ever; another person has to confirm it.',
  'stop.confirmed': 'A quarantine was made to be for ever.',
  'stop.completed': 'All that a stop reached is stopped for ever. Holds the numbers, and how long it took.',
  // rules and people
  'policy.published': 'A policy set took effect. Holds its text and the digest of it.',
  'profile.published': 'A certificate profile took effect.',
  'operator.added': 'An operator was added.',
  'operator.replaced': 'An operator got another credential; what was there before, join tokens included, is void.',
  'operator.removed': 'An operator was removed.',
  'group.changed': 'A person joined or left a group.',
  'approval.requested': 'Consent to one exact act was asked for. Holds the digest of its parameters.',
  'approval.decided': 'A person agreed or disagreed.',
  'approval.granted': 'Enough people had agreed.',
  'approval.denied': 'Somebody disagreed, which ended the request.',
  'approval.withdrawn': 'Who had asked took the request back.',
  'approval.expired': 'A request for consent, or a consent nobody used, ended by time.',
  'approval.used': 'The act that was agreed to was done; its own entry names the approval.',
  'emergency.begun': 'An operator was given emergency access by others, for a short time.',
  'emergency.ended': 'Emergency access ended, by itself or before its time.',
  'emergency.reviewed': 'Another person has looked at what was done by emergency access or recovery. Holds who.',
  // JWT-SVIDs, bundles and federation
  'jwt.issued': 'A JWT-SVID was signed. Holds whose it is, for whom, and its id; never the token.',
  'jwt.key_created': 'A key that signs JWT-SVIDs was made.',
  'jwt.key_retired': 'A key that signed JWT-SVIDs was deleted.',
  'bundle.published': 'What others are to believe of this trust domain changed: its roots, and keys of JWT-SVIDs.',
  'federation.added': 'SVIDs of another trust domain may be believed from now on. Holds where its bundle is fetched.',
  'federation.removed': 'They are believed no more.',
  'federation.bundle_changed': 'Another bundle of that trust domain was fetched or put in by hand.',
  'federation.refused': 'What was fetched of that trust domain was not believed, and why.',
  'domain.created': 'A further trust domain was made here. Holds its root, its signing authority and its profile.',
  'domain.signed': 'A subordinate authority of a further trust domain was signed. Holds its certificate.',
  'domain.rotated': 'An authority of a further trust domain was made, or took over. Holds its certificate.',
  'domain.ended': 'The key of an authority of a further trust domain was deleted; a root is in the bundle no more.',
  'domain.revoked':
    'An authority below the root of a further trust domain was revoked, for ever. Holds its certificate.',
  'domain.closed': 'Nothing is signed in a further trust domain any more; its keys were deleted.',
  // Shared Signals
  'signal.key_created': 'A key that signs security event tokens was made.',
  'signal.key_retired': 'A key that signed security event tokens was deleted.',
  'signal.stream_changed': 'Who is told of stops by Shared Signals changed.',
  'signal.received': 'A security event token of a trusted issuer was acted on, or was not, and why.',
  // canaries
  'canary.measured':
    'An identity was stopped on schedule. Holds when an enforcement point refused it, or that it did not.',
  'canary.removed': 'An enforcement point is no longer looked at by canaries.',
  'access.refused': 'Requests were refused; unauthenticated ones in one entry for many.',
} as const;

export type EventType = keyof typeof EVENT_TYPES;

export function isEventType(type: string): type is EventType {
  return Object.hasOwn(EVENT_TYPES, type);
}

/**
 * True for the events whose subjects get rows in `ledger_subject`. Certificates come by the million, and the row of
 * each already leads from its agent, instance and serial number to its leaf.
 */
export function isIndexedBySubject(type: EventType): boolean {
  return type !== 'certificate.issued' && type !== 'certificate.renewed' && type !== 'certificate.replaced';
}

/** Beside refusals: what was looked at or copied. */
const ONLY_SAYS: ReadonlySet<string> = new Set<EventType>([
  'backup.made',
  'canary.measured',
  'instance.changed',
  'revocation.effective',
  // What it led to, if anything, has entries of its own. Who sends the same again holds what is held.
  'signal.received',
]);

/**
 * True for entries that only say what happened: nobody's standing changes with them, and their batches write nothing that a
 * restore would have to bring back. They go to the anchor as revocations do, so that a backup which lacks nothing but such
 * entries is no loss: all that is missing can be appended again as it was.
 */
export function onlySays(type: string): boolean {
  return ONLY_SAYS.has(type) || /[._]refused$/.test(type);
}
