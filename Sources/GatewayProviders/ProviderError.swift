/// Why a model string names no provider that can be called. The message says what is wrong and how to mend it.
package enum ProviderError: Error, Hashable, Sendable {
    /// The model string is empty, or nothing follows the prefix.
    case modelMissing(String)
    /// A bare name that belongs to no known provider.
    case providerMissing(model: String)
    /// The prefix is unknown; `nearMatches` are known prefixes that look alike, best first, at most three.
    case unknownProvider(String, nearMatches: [String])
    /// LiteLLM knows the provider, but its API is not spoken here.
    case notSupported(String)

    package var message: String {
        switch self {
        case .modelMissing(let text):
            "The model \"\(text)\" names no model. Write provider/model, such as openai/gpt-4o."
        case .providerMissing(let model):
            "The provider of the model \"\(model)\" is not known. Write provider/model, such as openai/\(model), "
                + "or set custom_llm_provider."
        case .unknownProvider(let prefix, let nearMatches):
            "The provider \"\(prefix)\" is not known."
                + (nearMatches.isEmpty ? "" : " Did you mean \(nearMatches.joined(separator: ", "))?")
                + " For a server that speaks OpenAI's API write openai/MODEL and set api_base."
        case .notSupported(let name):
            "The provider \"\(name)\" is not supported by this version."
                + " Remove the entry, or reach the model through one that is, such as openrouter/."
        }
    }
}
