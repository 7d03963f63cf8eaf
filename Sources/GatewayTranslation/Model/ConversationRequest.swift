import GatewayWire

enum Role { case system, developer, user, assistant, tool }

struct Message {
    var role: Role
    var parts: [Part]
    /// The content was one string, not a list.
    var isStringContent = false
    /// Responses: it came as `instructions`. Anthropic, Gemini, Bedrock: it came in the system field.
    var isInstructions = false
    var extras: Extras
}

struct Tool {
    var name: JSONText
    var description: JSONText?
    /// JSON Schema. `nil`: no parameters.
    var parameters: JSONSlice?
    /// Gemini: `parameters` is its OpenAPI subset, not JSON Schema.
    var isOpenAPISchema = false
    var strict: Bool?
    var cacheControl: JSONSlice?
    /// Not a function that the caller runs: as it stands, for its own format only.
    var native: NativePart?
    var extras: Extras
    /// OpenAI chat: other members of `function`.
    var functionExtras: Extras
}

enum ToolChoice {
    case auto, none, required
    case function(JSONText)
    /// Something only its own format knows; the text says what, for messages.
    case native(JSONText)
}

enum ResponseFormat {
    case text, jsonObject
    case jsonSchema(name: JSONText?, description: JSONText?, schema: JSONSlice, strict: Bool?)
    case native(JSONText)
}

/// How much the model is to think.
struct ReasoningOptions {
    enum Mode { case enabled, adaptive, disabled }

    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`, `max`. `nil`: not said.
    var effort: JSONText?
    /// Tokens of thinking at most. `nil`: not said.
    var budgetTokens: Int64?
    var mode: Mode?
    /// Whether the thinking is to be shown. `nil`: not said.
    var isShown: Bool?
}

/// A request in no format. Numbers stay as they were written.
struct ConversationRequest {
    var format: WireFormat
    var model: JSONText?
    var messages: [Message] = []
    var tools: [Tool] = []
    var toolChoice: ToolChoice?
    var parallelToolCalls: Bool?
    var maxTokens: JSONSlice?
    var temperature: JSONValue?
    var topP: JSONValue?
    var topK: JSONValue?
    var frequencyPenalty: JSONValue?
    var presencePenalty: JSONValue?
    var seed: JSONValue?
    var choiceCount: Int64?
    var logprobs: Bool?
    var topLogprobs: JSONValue?
    var logitBias: JSONValue?
    var stop: [JSONText] = []
    var responseFormat: ResponseFormat?
    var reasoning: ReasoningOptions?
    var verbosity: JSONText?
    var serviceTier: JSONText?
    var user: JSONText?
    var metadata: JSONValue?
    /// Anthropic's automatic caching.
    var cacheControl: JSONSlice?
    var isStream = false
    /// Responses: the input was one string.
    var isStringInput = false
    /// Every member but the messages, the tools and the model; the ones above are marked as understood.
    var extras: Extras
    /// Members within members of `extras` that only the same format can express.
    var foreignExtras: [Extras.Member] = []

    init(_ format: WireFormat) {
        self.format = format
        self.extras = Extras(format)
    }

    /// `maxTokens` as a number. `nil`: not given, or not an integer 0...2^53.
    var maxTokensCount: Int64? { self.maxTokens.flatMap { JSONTree.reading($0) { $0.count } ?? nil } }

    /// Names of the calls by id.
    var callNames: [String: JSONText] {
        var names: [String: JSONText] = [:]
        for message in self.messages {
            for case .toolCall(let call) in message.parts {
                if let id = call.id { names[id.string] = call.name }
            }
        }
        return names
    }

    /// Gives ids to calls that have none, and to the results that follow them: formats that go by id need both. A
    /// result without id belongs to the oldest call of its name that has none yet, else to the oldest one.
    mutating func numberCalls(_ arena: JSONArena) {
        var waiting: [(name: String, id: JSONText)] = []
        var count = 0
        for index in self.messages.indices {
            for place in self.messages[index].parts.indices {
                switch self.messages[index].parts[place] {
                case .toolCall(var call) where call.id == nil:
                    count += 1
                    let id = arena.joined([JSONText("call_"), arena.text("\(count)")])
                    call.id = id
                    waiting.append((call.name.string, id))
                    self.messages[index].parts[place] = .toolCall(call)
                case .toolResult(var result) where result.callID == nil:
                    let name = result.name?.string
                    guard !waiting.isEmpty else { continue }
                    let own = waiting.firstIndex { $0.name == name } ?? 0
                    result.callID = waiting.remove(at: own).id
                    self.messages[index].parts[place] = .toolResult(result)
                default: break
                }
            }
        }
    }

    var hasToolHistory: Bool {
        self.messages.contains { message in
            message.parts.contains {
                switch $0 {
                case .toolCall, .toolResult: true
                default: false
                }
            }
        }
    }
}
