"""Stagedoor: act as a user, accountably. The public API: every name here must stay compatible."""

from stagedoor import models as models
from stagedoor.audit_proof import AuditProofError as AuditProofError
from stagedoor.audit_proof import VerifiedCheckpoint as VerifiedCheckpoint
from stagedoor.audit_proof import verify_checkpoint as verify_checkpoint
from stagedoor.audit_proof import verify_consistency as verify_consistency
from stagedoor.audit_proof import verify_inclusion as verify_inclusion
from stagedoor.auth import OwnSession as OwnSession
from stagedoor.client import Stagedoor as Stagedoor
from stagedoor.errors import ErrorDetail as ErrorDetail
from stagedoor.errors import StagedoorError as StagedoorError
from stagedoor.paging import AsyncPage as AsyncPage
from stagedoor.paging import Page as Page
from stagedoor.resources.hand_written.acting import ActingEvent as ActingEvent
from stagedoor.resources.revocations import RevocationEvent as RevocationEvent
from stagedoor.verify import Auth as Auth
from stagedoor.verify import RemoteJwks as RemoteJwks
from stagedoor.verify import TokenError as TokenError
from stagedoor.verify import VerifiedSession as VerifiedSession
from stagedoor.verify import Verifier as Verifier
from stagedoor.verify import remote_jwks as remote_jwks
from stagedoor.verify import verify_token as verify_token
