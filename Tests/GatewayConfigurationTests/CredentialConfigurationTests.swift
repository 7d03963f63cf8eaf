import Foundation
import GatewayConfiguration
import GatewayRouting
import Testing

@Suite("The credentials of a deployment")
struct CredentialConfigurationTests {
    /// The one deployment of an entry with these parameters, and what was said about it.
    private func load(
        _ parameters: String, _ environment: [String: String] = [:]
    ) -> (deployment: DeploymentConfiguration?, provider: String?, messages: [String]) {
        let base = ["LITELLM_MASTER_KEY": "sk-planted-master-key-0123456789", "AWS_EC2_METADATA_DISABLED": "true"]
        let result = Fixture.load(
            "model_list:\n  - model_name: m\n    litellm_params: {\(parameters)}\n",
            environment: base.merging(environment) { _, given in given })
        let deployment = result.settings?.routing.deployments.first
        return (
            deployment, deployment.flatMap { result.settings?.providers[$0.deploymentID]?.placement.project },
            result.diagnostics.map(\.message)
        )
    }

    private func source(_ parameters: String, _ environment: [String: String] = [:]) -> CredentialRecipe.Source? {
        self.load(parameters, environment).deployment?.credentialRecipe?.source
    }

    // MARK: Microsoft Entra

    private static let azure = "model: azure/gpt, api_base: 'https://r.openai.azure.com'"
    private static let entra = EntraClient(
        tenantID: "t", clientID: "c", clientSecret: Secret("planted"),
        scope: "https://cognitiveservices.azure.com/.default", authority: "https://login.microsoftonline.com")

    @Test("are Entra's client credentials, of the entry or of the environment")
    func entra() {
        let own = self.source(Self.azure + ", tenant_id: t, client_id: c, client_secret: planted")
        #expect(own == .entra(Self.entra))
        let variables = ["AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c", "AZURE_CLIENT_SECRET": "planted"]
        #expect(self.source(Self.azure, variables) == .entra(Self.entra))
        #expect(!"\(own as Any)".contains("planted"))
        var other = Self.entra
        other.authority = "https://login.microsoftonline.us"
        other.scope = "s"
        let changed = variables.merging(
            ["AZURE_AUTHORITY_HOST": "https://login.microsoftonline.us/", "AZURE_SCOPE": "s"]) { $1 }
        #expect(self.source(Self.azure, changed) == .entra(other))
    }

    @Test("are the key where there is one; the entry's own come before the environment's")
    func order() {
        let variables = ["AZURE_API_KEY": "planted-key"]
        let keyed = self.load(Self.azure, variables.merging(["AZURE_TENANT_ID": "t"]) { $1 }).deployment
        #expect(keyed?.authentication?.header == "api-key" && keyed?.credentialRecipe == nil)
        let own = Self.azure + ", tenant_id: t, client_id: c, client_secret: planted"
        #expect(self.source(own, variables) == .entra(Self.entra))
        let both = self.load(own + ", api_key: k").deployment
        #expect(both?.authentication?.value.reveal() == "k" && both?.credentialRecipe == nil)
        let token = self.load(Self.azure + ", azure_ad_token: planted").deployment
        #expect(token?.authentication?.header == "Authorization")
        #expect(token?.authentication?.value.reveal() == "Bearer planted")
    }

    @Test("are asked for where there are none, with the ways to give them")
    func missing() {
        let (deployment, _, messages) = self.load(Self.azure + ", tenant_id: t")
        #expect(deployment == nil && messages.contains { $0.contains("needs api_key") }, "\(messages)")
    }

    // MARK: Google

    private static let account =
        "{\"type\":\"service_account\",\"project_id\":\"p1\",\"client_email\":\"e\",\"private_key\":\"planted\"}"

    @Test("are a Google account as path, text or mapping, which may name the project")
    func google() throws {
        let vertex = "model: vertex_ai/gemini-x"
        #expect(self.source(vertex + ", vertex_credentials: /a/b.json") == .google(.file(path: "/a/b.json")))
        let (text, project, _) = self.load(vertex + ", vertex_credentials: '\(Self.account)'")
        #expect(text?.credentialRecipe?.source == .google(.text(Secret(Self.account))) && project == "p1")
        #expect(text?.address?.host == "us-central1-aiplatform.googleapis.com")
        let (mapping, mapped, messages) = self.load(vertex + ", vertex_credentials: \(Self.account)")
        guard case .google(.text)? = mapping?.credentialRecipe?.source else {
            Issue.record("\(messages)")
            return
        }
        #expect(mapped == "p1")
        #expect(
            self.source(vertex, ["GOOGLE_APPLICATION_CREDENTIALS": "/c.json"]) == .google(.file(path: "/c.json")))
        #expect(
            self.source(vertex + ", vertex_project: p")
                == .google(.machine(url: "http://metadata.google.internal")))
        #expect(self.load(vertex).deployment == nil)
    }

    @Test("name the project of a file, too")
    func googleFile() throws {
        let file = NSTemporaryDirectory() + "/martlet-account-\(UUID().uuidString).json"
        try Self.account.write(toFile: file, atomically: true, encoding: .utf8)
        defer { try? FileManager.default.removeItem(atPath: file) }
        let (deployment, project, _) = self.load("model: vertex_ai/gemini-x, vertex_credentials: '\(file)'")
        #expect(deployment?.credentialRecipe?.source == .google(.file(path: file)) && project == "p1")
    }

    @Test("that are no Google account are refused, and never repeated")
    func googleFault() {
        let (deployment, _, messages) = self.load(
            "model: vertex_ai/gemini-x, vertex_credentials: '{\"type\":\"planted\"}'")
        #expect(deployment == nil && messages.contains { $0.contains("service_account") }, "\(messages)")
        #expect(!messages.contains { $0.contains("planted") })
    }

    // MARK: AWS

    private static let bedrock = "model: bedrock/amazon.nova, aws_region_name: eu-west-1"

    private func chain(_ parameters: String, _ environment: [String: String] = [:]) -> AWSCredentialChain? {
        guard case .aws(let chain)? = self.source(Self.bedrock + parameters, environment) else { return nil }
        return chain
    }

    @Test("are AWS' keys as they are, or with a role")
    func keys() {
        let keys = ", aws_access_key_id: A, aws_secret_access_key: planted"
        let plain = self.load(Self.bedrock + keys).deployment
        #expect(plain?.awsKeyPair?.accessKeyID == "A" && plain?.credentialRecipe == nil)
        let role = self.chain(keys + ", aws_role_name: 'arn:r', aws_session_name: s, aws_external_id: e")
        let pair = AWSKeyPair(accessKeyID: "A", secretAccessKey: Secret("planted"), sessionToken: nil)
        #expect(role?.base == .keys(pair))
        #expect(role?.role == AWSRole(arn: "arn:r", sessionName: "s", externalID: "e") && role?.region == "eu-west-1")
        #expect(!"\(role as Any)".contains("planted"))
    }

    @Test("are a profile of AWS' files, of the entry or of the environment")
    func profile() {
        let files = ["AWS_SHARED_CREDENTIALS_FILE": "/a", "AWS_CONFIG_FILE": "/b"]
        let expected = AWSCredentialChain.Base.profile(
            name: "p", files: AWSProfileFiles(credentials: "/a", config: "/b"))
        #expect(self.chain(", aws_profile_name: p", files)?.base == expected)
        #expect(self.chain("", files.merging(["AWS_PROFILE": "p"]) { $1 })?.base == expected)
    }

    @Test("are a web identity, a container's or the machine's, in that order")
    func ambient() {
        let web = ["AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "arn:r"]
        let container = [
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/f",
        ]
        let machine = ["AWS_EC2_METADATA_DISABLED": "false"]
        let all = web.merging(container) { $1 }.merging(machine) { $1 }
        #expect(
            self.chain("", all)?.base
                == .webIdentity(
                    token: .file(path: "/t"), role: AWSRole(arn: "arn:r", sessionName: "martlet", externalID: nil)))
        #expect(
            self.chain("", container)?.base
                == .container(url: "http://169.254.170.2/v2/x", authorization: .file(path: "/f")))
        #expect(self.chain("", machine)?.base == .machine(url: "http://169.254.169.254"))
        #expect(self.chain(", aws_role_name: 'arn:r'", machine)?.base == .machine(url: "http://169.254.169.254"))
        #expect(self.load(Self.bedrock).deployment == nil)
        #expect(self.load(Self.bedrock + ", aws_role_name: 'arn:r'").deployment == nil)
    }

    @Test("may take a role on by a token in LiteLLM's way")
    func webIdentity() {
        let role = ", aws_role_name: 'arn:r', aws_web_identity_token: "
        let expected = AWSRole(arn: "arn:r", sessionName: "martlet", externalID: nil)
        func base(_ text: String, _ environment: [String: String] = [:]) -> AWSCredentialChain.Base? {
            self.chain(role + text, environment)?.base
        }
        #expect(base("oidc/file/var/t") == .webIdentity(token: .file(path: "/var/t"), role: expected))
        #expect(base("oidc/env/T", ["T": "x"]) == .webIdentity(token: .text(Secret("x")), role: expected))
        #expect(base("abc") == .webIdentity(token: .text(Secret("abc")), role: expected))
        #expect(base("oidc/env/T") == nil && base("oidc/github/T") == nil)
        #expect(self.load(Self.bedrock + ", aws_web_identity_token: abc").deployment == nil)
    }

    @Test("may be for Bedrock's invoke, too")
    func invoke() {
        let deployment = self.load(
            "model: bedrock/invoke/anthropic.claude-x, aws_access_key_id: A, aws_secret_access_key: s"
        ).deployment
        #expect(deployment?.model == "anthropic.claude-x" && deployment?.awsKeyPair != nil)
    }
}
