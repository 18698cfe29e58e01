"""The published formats of keys and tokens: ``{w36}`` is 36 letters and digits, and so on."""

__all__ = ["TOKENS"]

_TABLE = """
adafruit aio_{w28}
adobe p8e-{w32}
age AGE-SECRET-KEY-1{U58}
airtable pat{w14}.{h64}
alibaba LTAI{w20}
anthropic sk-ant-api03-{u93}AA sk-ant-admin01-{u93}AA sk-ant-oat01-{u93}AA
anyscale esecret_{w28}
apify apify_api_{w36}
artifactory AKCp{w69}
atlassian ATATT3xFfGF0{u180}={U8}
aws-access AKIA{216} ASIA{216}
aws-bedrock ABSK{b128}
azure-ad {w3}8Q~{w34}
bitbucket ATBB{w32}
brevo xkeysib-{h64}-{w16}
buildkite bkua_{h40}
cerebras csk-{l48}
circleci CCIPAT_{w22}_{h40}
clojars CLOJARS_{l60}
cloudflare-origin v1.0-{h24}-{h146}
contentful CFPAT-{u43}
datadog-app ddapp_{w34}
digitalocean dop_v1_{h64} doo_v1_{h64} dor_v1_{h64}
discord M{u25}.{u6}.{u38}
docker dckr_pat_{u27} dckr_oat_{u32}
doppler dp.pt.{w43} dp.st.prd.{w43}
duffel duffel_test_{u43}
dynatrace dt0c01.{U24}.{U64}
easypost EZAK{w54}
elevenlabs sk_{h48}
figma figd_{u40}
fireworks fw_{w22}7
flutterwave FLWSECK_TEST-{h32}-X
flyio fo1_{u43}
flyio-macaroon fm2_{b200}
frameio fio-u-{u64}
gcp-access ya29.{u140}
gcp-oauth GOCSPX-{u28}
github ghp_{w36} gho_{w36} ghu_{w36} ghs_{w36} ghr_{w36}
github-fine github_pat_{w22}_{w59}
gitlab glpat-{u20} glpat-{u27}.{l2}.{l9}
gitlab-other gldt-{u20} glptt-{h40} glcbt-{h2}_{u20} glsoat-{u20}
gitlab-runner glrt-{u20}
google-api AIza{u35}
grafana-cloud glc_{b60}
grafana-service glsa_{w32}_{h8}
groq gsk_{w52}
heroku HRKU-{uuid} HRKU-AA{u58}
hubspot pat-na1-{uuid}
huggingface hf_{w34}
huggingface-org api_org_{w34}
jina jina_{w60}
langfuse sk-lf-{uuid}
langsmith lsv2_pt_{h32}_{h10} lsv2_sk_{h32}_{h10}
launchdarkly api-{uuid} sdk-{uuid}
linear lin_api_{w40}
logfire pylf_v1_us_{w43}
mailchimp {h32}-us12
mailersend mlsn.{h64}
mailgun key-{h32}
mapbox sk.eyJ1{w60}.{u22}
netlify nfp_{w36}
new-relic NRAK-{U27}
new-relic-insert NRII-{u32}
new-relic-browser NRJS-{h19}
notion ntn_{w46}
npm npm_{w36}
nvidia nvapi-{u64}
onepassword A3-{U6}-{U11}-{U5}-{U5}-{U5}
onepassword-service ops_eyJ{b250}
openai sk-proj-{u48} sk-svcacct-{u48} sk-admin-{u48} sk-{w20}T3BlbkFJ{w20}
openrouter sk-or-v1-{h64}
openshift sha256~{u43}
perplexity pplx-{w48}
pinecone pcsk_{w5}_{w63}
planetscale pscale_tkn_{u43} pscale_pw_{u43}
posthog phx_{u43}
postman PMAK-{h24}-{h34}
prefect pnu_{l36}
pulumi pul-{h40}
pypi pypi-AgEIcHlwaS5vcmc{u120}
readme rdme_{l70}
render rnd_{w28}
replicate r8_{w37}
resend re_{w8}7A_{w24}
rubygems rubygems_{h48}
sendgrid SG.{u22}.{u43}
sentry-org sntrys_eyJ{b80}_{b43}
sentry-user sntryu_{h64}
shippo shippo_live_{h40}
shopify shpat_{h32} shpca_{h32} shppa_{h32} shpss_{h32}
slack xoxb-{d12}-{d13}-{w24} xoxp-{d12}-{d12}-{d12}-{h32} xapp-1-A{U10}-{d13}-{h64}
slack-rotating xoxe.xoxp-1-{w150}
slack-webhook https://hooks.slack.com/services/T{U10}/B{U10}/{w24}
snyk snyk_uat.{l8}.{u180}
sonarqube sqp_{h40} squ_{h40}
sourcegraph sgp_{h40}
square sq0atp-{u22} sq0csp-{u43}
square-access EAAA{u60}
stripe sk_live_{w24} sk_test_{w99} rk_live_{w24}
stripe-webhook whsec_{w32}
supabase sbp_{h40}
supabase-secret sb_secret_{u31}
swarm SWMTKN-1-{l50}-{l25}
tailscale tskey-auth-{w17}-{w32}
tavily tvly-{w32}
telegram {d10}:AA{u33}
terraform {w14}.atlasv1.{u67}
together tgp_v1_{u43}
twilio SK{h32}
typeform tfp_{u44}_{u14}
vault hvs.{u95}
vault-batch hvb.{u140}
vercel vcp_{w56}
voyage pa-{u43}
wakatime waka_{uuid}
wandb wandb_v1_{u77}
xai xai-{w80}
yandex AQVN{u36}
"""
TOKENS: dict[str, list[str]] = {
    name: templates for name, *templates in map(str.split, _TABLE.strip().splitlines())
}
"""Templates, by rule."""
