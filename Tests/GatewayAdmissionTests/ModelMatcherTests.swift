import GatewayAdmission
import Testing

@Suite("The models of a key")
struct ModelMatcherTests {
    @Test(
        "allow what they name, and everything when they name nothing",
        arguments: [
            ([], "anything"), (["*"], "anything"), (["all-proxy-models"], "anything"), (["gpt-4o"], "gpt-4o"),
            (["openai/*"], "openai/gpt-4o"), (["a", "b"], "b"), (["no-default-models", "a"], "a"),
            (["*-mini"], "gpt-4o-mini"),
        ] as [([String], String)])
    func allows(models: [String], name: String) {
        #expect(ModelMatcher(models).allows(name))
    }

    @Test(
        "allow nothing else",
        arguments: [
            (["gpt-4o"], "gpt-4o-mini"), (["gpt-4o"], "GPT-4o"), (["openai/*"], "groq/llama"), (["a", "b"], "c"),
            (["no-default-models"], "a"), (["gpt-4o"], ""), ([""], "a"), (["gpt-4o"], "gpt-4o\n"), (["a*"], "ba"),
        ] as [([String], String)])
    func refuses(models: [String], name: String) {
        #expect(!ModelMatcher(models).allows(name))
    }
}
