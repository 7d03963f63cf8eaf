extension Provider {
    /// What addresses of cloud providers depend on beside the model.
    package struct Placement: Sendable, Hashable {
        /// Region of AWS, such as `us-east-1`. `nil`: not configured.
        package var region: String?
        /// Google Cloud project. `nil`: not configured; Vertex AI is then called in express mode, by a key.
        package var project: String?
        /// Location of Vertex AI, such as `us-central1` or `global`. `nil`: not configured.
        package var location: String?
        /// `api-version` of Azure; `v1`, `latest` and `preview` mean the API without dates. `nil`: the default.
        package var apiVersion: String?
        /// Snowflake's account identifier. `nil`: not configured.
        package var account: String?

        package init() {}

        /// LiteLLM's default where no region is configured.
        package static let defaultRegion = "us-west-2"
        package static let defaultLocation = "us-central1"

        /// `template` with its names in braces replaced. `nil`: one is not known.
        func filled(_ template: String) -> String? {
            guard let open = template.firstIndex(of: "{"), let close = template.firstIndex(of: "}"), open < close
            else { return template }
            let value: String? =
                switch template[template.index(after: open)..<close] {
                case "region": self.region ?? Self.defaultRegion
                case "vertex": self.vertexHost
                case "account": self.account
                default: nil
                }
            return value.map { template[..<open] + $0 + template[template.index(after: close)...] }
        }

        /// `global` and calls without a project have no prefix; `us` and `eu` are multi-region hosts of their own.
        private var vertexHost: String {
            switch self.project == nil ? "global" : self.location ?? Self.defaultLocation {
            case "global": "aiplatform.googleapis.com"
            case "us": "aiplatform.us.rep.googleapis.com"
            case "eu": "aiplatform.eu.rep.googleapis.com"
            case let location: "\(location)-aiplatform.googleapis.com"
            }
        }
    }

    /// The provider with what its addresses depend on: by LiteLLM's parameters, else by the environment. What the
    /// model's name said stays.
    ///
    /// - Parameters:
    ///   - parameter: a value of `litellm_params`, such as `api_version`. `nil`: not given.
    ///   - environment: an environment variable. `nil`: not set.
    package func placed(parameter: (String) -> String?, environment: (String) -> String?) -> Provider {
        func first(_ parameters: [String], _ variables: [String]) -> String? {
            for value in parameters.lazy.map(parameter) where !(value ?? "").isEmpty { return value }
            for value in variables.lazy.map(environment) where !(value ?? "").isEmpty { return value }
            return nil
        }
        var provider = self
        switch self.name {
        case "azure", "azure_ai":
            // The version of Azure OpenAI says nothing about model inference.
            provider.placement.apiVersion = first(
                ["api_version"], self.name == "azure" ? ["AZURE_API_VERSION", "OPENAI_API_VERSION"] : [])
            let base = first(["api_base", "base_url"], self.baseURLVariables) ?? ""
            if base.contains("/openai/v1"), provider.placement.apiVersion != "preview" {
                provider.placement.apiVersion = "v1"
            }
        case "bedrock", "bedrock_converse":
            if provider.placement.region == nil {
                provider.placement.region = first(
                    ["aws_region_name"], ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"])
            }
        case "vertex_ai", "vertex_ai_beta":
            provider.placement.project = first(
                ["vertex_project", "vertex_ai_project"],
                ["VERTEXAI_PROJECT", "VERTEX_PROJECT", "GOOGLE_CLOUD_PROJECT"])
            provider.placement.location = first(
                ["vertex_location", "vertex_ai_location"],
                ["VERTEXAI_LOCATION", "VERTEX_LOCATION", "GOOGLE_CLOUD_LOCATION"])
        case "snowflake":
            provider.placement.account = first(["snowflake_account_id"], ["SNOWFLAKE_ACCOUNT_ID"])
        default: break
        }
        return provider
    }
}
