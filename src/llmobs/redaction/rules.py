"""The formats of keys and tokens that say what they are: how each begins, and what follows.

The formats are those their issuers document. A line of the table is a rule:

- its name;
- the beginnings;
- which characters follow (`CLASSES`);
- how many of them there are, at least;
- what must occur among them, where ordinary words begin like this too (`_PROOFS`).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["CLASSES", "RARE_CHARACTERS", "TOKEN_RULES", "TokenRule"]

RARE_CHARACTERS: Final = "-_.:=>AJKB"
"""Rare in prose, and one of them in every beginning: what a scan looks for."""

CLASSES: Final = {
    "w": "[0-9A-Za-z]",
    "u": "[0-9A-Za-z_-]",
    "d": "[0-9A-Za-z_.-]",
    "b": "[0-9A-Za-z+/=_-]",
    "h": "[0-9a-fA-F]",
    "l": "[0-9a-z]",
    "U": "[0-9A-Z]",
}
_AROUND: Final = 2
"""Characters on either side of an anchor that a search looks at."""
_LONGEST: Final = 16_384  # characters matched by one call, which holds the interpreter
_RUNS: Final = {
    # Of few characters only, a token ends where the word does; else it was another word.
    name: re.compile(f"{chars}{{0,{_LONGEST}}}+" + ("(?![0-9A-Za-z])" if name in "hl" else ""))
    for name, chars in CLASSES.items()
}
_PROOFS: Final = {
    # Matched from where the prefix ends; none of them can go back, whatever the text.
    "digit": re.compile(r"[^0-9]*+[0-9]"),
    # Not the names of algorithms: sk-ssh-ed25519@openssh.com.
    "random": re.compile(
        r"(?!ecdsa-sha2|ssh-ed25519)(?:(?:[^0-9A-Z]*+[0-9A-Z]){4}|(?:[^a-z]|[a-z]{1,15}+(?![a-z]))*+[a-z]{16})"
    ),
    "mixed": re.compile(r"(?=[^0-9]*+[0-9])[^A-Z]*+[A-Z]"),
    "uuid": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}"),
}

_TABLE: Final = """
adafruit aio_ w 28 digit
adobe p8e- w 32
age AGE-SECRET-KEY-1 U 58
alibaba LTAI w 16 digit
anthropic sk-ant- u 16 random
anyscale esecret_ w 20
apify apify_api_ w 30
artifactory AKCp w 60
atlassian ATATT3,ATCTT3 b 100
aws-access AKIA,ASIA,ABIA,ACCA U 16
aws-bedrock ABSK b 100
aws-bedrock-short bedrock-api-key- b 40
aws-mws amzn.mws. u 32
bitbucket ATBB w 28 mixed
brevo xkeysib-,xsmtpsib- u 60
buildkite bkua_ h 40
cerebras csk- w 40
circleci CCIPAT_,CCIPRJ_ u 40
clojars CLOJARS_ l 60
cloudflare-origin v1.0- u 140
cloudflare cfut_,cfat_,cfk_ w 32
cloudsmith csa_ w 32 mixed
contentful CFPAT- u 40
datadog-app ddapp_,ddpat_ w 32
digitalocean dop_v1_,doo_v1_,dor_v1_ h 64
discord mfa. u 60
docker dckr_pat_,dckr_oat_ u 24
doppler dp.pt.,dp.st.,dp.ct.,dp.sa.,dp.scim.,dp.audit. d 40
duffel duffel_test_,duffel_live_ u 40
dynatrace dt0c01.,dt0s01.,dt0s16. d 60
easypost EZAK,EZTK w 54
elevenlabs sk_ h 48
facebook EAAC,EAAG,EAAM,EAAB w 60 mixed
figma figd_,figu_,figo_ u 38
fireworks fw_ w 22 digit
flutterwave FLWSECK_TEST-,FLWSECK- u 12
flyio fo1_ u 40
flyio-macaroon fm1r_,fm2_,fm1a_ b 40
frameio fio-u- u 60
gcp-access ya29. u 30
gcp-oauth GOCSPX- u 24
github ghp_,gho_,ghu_,ghs_,ghr_ w 20
github-fine github_pat_ u 20
gitlab glpat- d 20
gitlab-runner glrt-,glrtr- d 20
gitlab-deploy gldt- u 20
gitlab-other glptt-,glcbt-,glft-,glagent-,gloas-,glsoat-,glimt-,glffct-,glwt- u 20
google-api AIza u 30
grafana-cloud glc_ b 32
grafana-service glsa_ u 32
groq gsk_ w 40
harness pat.,sat. d 50 random
heroku HRKU- u 30
hubspot pat-na1-,pat-na2-,pat-eu1- u 36
huggingface hf_ w 34
huggingface-org api_org_ w 30
infracost ico- w 32 mixed
jina jina_ u 40
langfuse sk-lf- u 32
langsmith lsv2_pt_,lsv2_sk_ u 32
langsmith-old ls__ h 32
launchdarkly api-,sdk-,mob- u 36 uuid
linear lin_api_,lin_oauth_ w 30
llmobs llmobs_ u 51
logfire pylf_v1_us_,pylf_v1_eu_,pylf_v2_us_,pylf_v2_eu_ w 40
mailersend mlsn. h 60
mailgun key-,pubkey- l 32 digit
mapbox sk.eyJ d 60
netlify nfp_,nfc_,nfo_,nfu_ w 36
new-relic NRAK-,NRAA-,NRBR- U 24
new-relic-insert NRII-,NRIQ- u 32
new-relic-browser NRJS- h 19
nightfall NF- w 30 mixed
notion ntn_ w 40
npm npm_ w 36
nvidia nvapi- u 60
onepassword A3- u 30 random
onepassword-service ops_eyJ b 100
openai sk-proj-,sk-svcacct-,sk-admin- u 16 random
openai-session sess- w 40
openrouter sk-or-v1- h 64
perplexity pplx- w 40
pinecone pcsk_ u 60
planetscale pscale_tkn_,pscale_pw_,pscale_oauth_ d 32
posthog phx_,phs_,phc_ u 40
postman PMAK- u 50
prefect pnu_,pnb_ w 36
pulumi pul- h 40
pypi pypi-AgEI,pypi-AgEN u 50
readme rdme_ l 60
render rnd_ w 28
replicate r8_ w 37
resend re_ u 30 mixed
rubygems rubygems_ h 48
sendgrid SG. d 50
sentry-org sntrys_ b 60
sentry-user sntryu_,sntrya_ h 64
settlemint sm_aat_,sm_pat_,sm_sat_ w 16
shippo shippo_live_,shippo_test_ h 40
shopify shpat_,shpca_,shppa_,shpss_ h 32
sk-key sk- u 16 random
slack xoxb-,xoxp-,xoxa-,xoxr-,xoxs-,xoxo-,xoxc-,xoxd- u 10
slack-app xapp- u 30
slack-rotating xoxe-,xoxe. d 60
snyk snyk_ d 36
sonarqube sqp_,squ_,sqa_ h 40
sourcegraph sgp_ u 40
square sq0atp-,sq0csp- u 22
square-access EAAA u 56 mixed
stripe sk_live_,sk_test_,sk_prod_,rk_live_,rk_test_,rk_prod_ w 16
stripe-webhook whsec_ b 24 mixed
supabase sbp_ h 40
supabase-secret sb_secret_ u 24
swarm SWMTKN-1- u 60
tailscale tskey- u 20
tavily tvly- u 20
tencent AKID w 32 mixed
terraform .atlasv1. u 60
together tgp_v1_ u 40
twilio SK h 32 digit
typeform tfp_ d 40
vault hvs.,hvr. u 24 random
vault-batch hvb. u 60
vercel vcp_,vca_,vci_,vcr_,vck_ w 24
volcengine AKLT b 40
voyage pa- u 43 mixed
wakatime waka_ u 36
wandb wandb_v1_ u 40
xai xai- w 60
yandex AQVN u 35 mixed
yandex-iam t1. d 100 mixed
zuplo zpka_ w 30
"""


class TokenRule(NamedTuple):
    """A kind of key or token, known by how it begins."""

    name: str
    prefix: str
    chars: str
    """Which characters follow, by name (`CLASSES`)."""
    anchor: int
    """Where in the prefix the character is that a scan looks for."""
    run: re.Pattern[str]
    """What follows the prefix; it matches what is too short, too."""
    least: int
    """Characters that follow, at least."""
    proof: re.Pattern[str] | None
    """What must occur among them, or it is an ordinary word."""


def _anchor(prefix: str) -> int:
    """Return which character of *prefix* is looked for: one with two on either side says most."""
    rare = [at for at, char in enumerate(prefix) if char in RARE_CHARACTERS]
    return next((at for at in rare if _AROUND <= at < len(prefix) - _AROUND), rare[-1])


def _rules() -> tuple[TokenRule, ...]:
    rules = []
    for line in _TABLE.split("\n"):
        name, _, rest = line.partition(" ")
        if not name:
            continue
        prefixes, chars, least, *proof = rest.split()
        for prefix in prefixes.split(","):
            anchor = _anchor(prefix)
            rules.append(
                TokenRule(
                    name,
                    prefix,
                    chars,
                    anchor,
                    _RUNS[chars],
                    int(least),
                    _PROOFS[proof[0]] if proof else None,
                )
            )
    # The longer beginning says more.
    return tuple(sorted(rules, key=lambda rule: -len(rule.prefix)))


TOKEN_RULES: Final = _rules()
"""All rules, the longest beginnings first."""
