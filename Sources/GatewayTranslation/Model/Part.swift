import GatewayWire

/// A piece of what somebody said.
enum Part {
    case text(TextPart)
    case refusal(JSONText)
    case media(MediaPart)
    case toolCall(ToolCall)
    case toolResult(ToolResult)
    case reasoning(ReasoningPart)
    /// Something only one format knows.
    case native(NativePart)
}

struct TextPart {
    var text: JSONText
    /// Anthropic's `cache_control` object. `nil`: none.
    var cacheControl: JSONSlice?
    var annotations: [Annotation] = []
    /// Gemini's thought signature of the part.
    var signature: JSONText?
    var extras: Extras

    init(_ text: JSONText, _ format: WireFormat) {
        self.text = text
        self.extras = Extras(format)
    }
}

/// A source that a text refers to.
struct Annotation {
    /// `nil`: not a web page.
    var url: JSONText?
    var title: JSONText?
    var citedText: JSONText?
    /// Range in the text, as the format counts it.
    var start: JSONSlice?
    var end: JSONSlice?
    var format: WireFormat
    var raw: JSONSlice
}

struct MediaPart {
    enum Kind { case image, audio, video, document }

    enum Source {
        /// Base64, as string content.
        case data(JSONText)
        case url(JSONText)
        /// A file kept by the provider.
        case file(JSONText)
        /// A document that is plain text.
        case plainText(JSONText)
    }

    var kind: Kind
    /// `image/png`. `nil`: unknown.
    var mediaType: JSONText?
    var source: Source
    /// OpenAI's `detail` of an image.
    var detail: JSONText?
    /// Name of the file or title of the document.
    var name: JSONText?
    var cacheControl: JSONSlice?
    var extras: Extras
}

struct ToolCall {
    /// What the call is called with. Formats that want an object get one; those that want text get text.
    enum Arguments {
        /// A string's content that holds JSON.
        case text(JSONText)
        case json(JSONSlice)
    }

    /// `nil`: the format has none.
    var id: JSONText?
    var name: JSONText
    var arguments: Arguments
    /// OpenAI's custom tools: the argument is free text.
    var isCustom = false
    /// Gemini's thought signature. Goes to Gemini only.
    var signature: JSONText?
    var cacheControl: JSONSlice?
    /// Responses: the item's own id.
    var itemID: JSONText?
    var extras: Extras
    /// OpenAI chat: other members of `function`.
    var functionExtras: Extras
}

struct ToolResult {
    /// `nil`: the format has none, the name says it.
    var callID: JSONText?
    var name: JSONText?
    var parts: [Part]
    /// The content was one string.
    var isStringContent: Bool
    /// A JSON object or array as content (Gemini, Bedrock). `nil`: `parts` say it.
    var json: JSONSlice?
    var isError: Bool
    var cacheControl: JSONSlice?
    var extras: Extras
}

struct ReasoningPart {
    /// `nil`: nothing readable.
    var text: JSONText?
    /// Proof of origin; means something to `format`'s provider only.
    var signature: JSONText?
    /// Content that only the provider can read (redacted thinking, encrypted content).
    var encrypted: JSONText?
    /// Responses: the item's id.
    var itemID: JSONText?
    var cacheControl: JSONSlice?
    var format: WireFormat
    var extras: Extras
}

struct NativePart {
    var format: WireFormat
    /// Its type, for messages.
    var type: JSONText
    var raw: JSONSlice
    /// Nothing is lost for the meaning of a conversation when it is left out, such as a cache point.
    var isHint = false
}
