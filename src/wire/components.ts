import { accessMetadata, accessSubmission, accessTask, cancelAccessTask, decideAccessTask } from './access-task.ts';
import { agent, agentPage, changeAgent, registerAgent } from './agent.ts';
import { approval, approvalPage, webhookDelivery, webhookDeliveryPage } from './approval.ts';
import { challenge, createChallenge, requestSvid } from './attestation.ts';
import { addAttestor, attestor, attestorPage, checkEvidence, checkedEvidence } from './attestor.ts';
import { authority, authorityList, rotateAuthority } from './authority.ts';
import { canary, canaryPage, canaryReport } from './canary.ts';
import { stop } from './cause.ts';
import {
  certificate,
  certificatePage,
  certificateStatus,
  enrol,
  issueCertificate,
  issuedCertificate,
  renewCertificate,
  replaceCertificate,
} from './certificate.ts';
import {
  createDomain,
  domain,
  domainAuthority,
  domainList,
  revokeDomainAuthority,
  rotateDomain,
  signDomain,
  signedDomainAuthority,
} from './domain.ts';
import { beginEmergency, emergency, emergencyPage, reviewEmergency } from './emergency.ts';
import { createEntry, entry, entryPage, ownEntries } from './entry.ts';
import { addFederation, federatedBundles, federation, federationList, replaceBundle } from './federation.ts';
import { feedAcks, feedEffectReport, feedPage, feedPoints, feedTaken } from './feed.ts';
import { feedSigned, feedTimeQuestion } from './feed-signed.ts';
import { group, groupList } from './group.ts';
import { instance, instancePage } from './instance.ts';
import { createJwtSvid, createJwtSvids, jwtSvid, jwtSvids, rotatedJwtKey, rotateJwtKey } from './jwt-svid.ts';
import { ledgerEntry, ledgerPage } from './ledger.ts';
import { addOperator, operator, operatorList } from './operator.ts';
import { owningTeam, owningTeamPage } from './owner.ts';
import { checkPolicies, policyFindings, policySet, publishPolicies } from './policy.ts';
import { problem } from './problem.ts';
import { profile, profileList, profileRules } from './profile.ts';
import type { Schema } from './schema.ts';
import {
  changeSignalStream,
  createSignalStream,
  deadSignals,
  polledSignals,
  pollSignals,
  rotatedSignalKey,
  rotateSignalKey,
  signalStatus,
  signalStream,
  signalStreams,
  verifySignalStream,
} from './signal.ts';
import { health, readiness, version, whoami } from './status.ts';
import { createStop, stopPage, stopRecord } from './stop.ts';
import { createdToken, createToken, token, tokenPage } from './token.ts';
import { trust } from './trust.ts';
import { enrolWorkload, renewWorkload, startChild } from './workload.ts';
import { recordedRefusals, refusedWorkloads } from './workload-refusal.ts';

/** The schemas of all bodies and answers by their names in the OpenAPI document. Names are stable. */
export const COMPONENTS: Readonly<Record<string, Schema<unknown>>> = {
  AccessMetadata: accessMetadata,
  AccessSubmission: accessSubmission,
  AccessTask: accessTask,
  AddAttestor: addAttestor,
  AddFederation: addFederation,
  AddOperator: addOperator,
  Agent: agent,
  AgentPage: agentPage,
  Approval: approval,
  ApprovalPage: approvalPage,
  Attestor: attestor,
  AttestorPage: attestorPage,
  Authority: authority,
  AuthorityList: authorityList,
  BeginEmergency: beginEmergency,
  Canary: canary,
  CanaryPage: canaryPage,
  CanaryReport: canaryReport,
  CancelAccessTask: cancelAccessTask,
  Certificate: certificate,
  CertificatePage: certificatePage,
  CertificateStatus: certificateStatus,
  Challenge: challenge,
  ChangeAgent: changeAgent,
  ChangeSignalStream: changeSignalStream,
  CheckEvidence: checkEvidence,
  CheckPolicies: checkPolicies,
  CheckedEvidence: checkedEvidence,
  CreateChallenge: createChallenge,
  CreateDomain: createDomain,
  CreateEntry: createEntry,
  CreateJwtSvid: createJwtSvid,
  CreateJwtSvids: createJwtSvids,
  CreateSignalStream: createSignalStream,
  CreateStop: createStop,
  CreateToken: createToken,
  CreatedToken: createdToken,
  DeadSignals: deadSignals,
  DecideAccessTask: decideAccessTask,
  Domain: domain,
  DomainAuthority: domainAuthority,
  DomainList: domainList,
  RevokeDomainAuthority: revokeDomainAuthority,
  RotateDomain: rotateDomain,
  Emergency: emergency,
  EmergencyPage: emergencyPage,
  Enrol: enrol,
  StartChild: startChild,
  EnrolWorkload: enrolWorkload,
  Entry: entry,
  EntryPage: entryPage,
  FederatedBundles: federatedBundles,
  Federation: federation,
  FederationList: federationList,
  FeedAcks: feedAcks,
  FeedEffectReport: feedEffectReport,
  FeedPage: feedPage,
  FeedPoints: feedPoints,
  FeedSigned: feedSigned,
  FeedTaken: feedTaken,
  FeedTimeQuestion: feedTimeQuestion,
  Group: group,
  GroupList: groupList,
  Health: health,
  Instance: instance,
  InstancePage: instancePage,
  IssueCertificate: issueCertificate,
  IssuedCertificate: issuedCertificate,
  JwtSvid: jwtSvid,
  JwtSvids: jwtSvids,
  LedgerEntry: ledgerEntry,
  LedgerPage: ledgerPage,
  Operator: operator,
  OperatorList: operatorList,
  OwnEntries: ownEntries,
  OwningTeam: owningTeam,
  OwningTeamPage: owningTeamPage,
  PollSignals: pollSignals,
  PolledSignals: polledSignals,
  PolicyFindings: policyFindings,
  PolicySet: policySet,
  Problem: problem,
  Profile: profile,
  ProfileList: profileList,
  ProfileRules: profileRules,
  PublishPolicies: publishPolicies,
  Readiness: readiness,
  RecordedRefusals: recordedRefusals,
  RefusedWorkloads: refusedWorkloads,
  RegisterAgent: registerAgent,
  RenewCertificate: renewCertificate,
  RenewWorkload: renewWorkload,
  ReplaceBundle: replaceBundle,
  ReplaceCertificate: replaceCertificate,
  RequestSvid: requestSvid,
  ReviewEmergency: reviewEmergency,
  RotateAuthority: rotateAuthority,
  RotateJwtKey: rotateJwtKey,
  RotateSignalKey: rotateSignalKey,
  RotatedJwtKey: rotatedJwtKey,
  RotatedSignalKey: rotatedSignalKey,
  SignDomain: signDomain,
  SignalStatus: signalStatus,
  SignalStream: signalStream,
  SignalStreams: signalStreams,
  SignedDomainAuthority: signedDomainAuthority,
  Stop: stop,
  StopPage: stopPage,
  StopRecord: stopRecord,
  Token: token,
  TokenPage: tokenPage,
  Trust: trust,
  VerifySignalStream: verifySignalStream,
  Version: version,
  WebhookDelivery: webhookDelivery,
  WebhookDeliveryPage: webhookDeliveryPage,
  Whoami: whoami,
};
