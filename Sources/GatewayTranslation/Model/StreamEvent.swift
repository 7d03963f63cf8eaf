import GatewayWire

/// One step of a streamed answer in no format. Slices are valid while the provider's event is.
enum StreamEvent {
    /// The first of a stream; comes once.
    case start(id: JSONText?, model: JSONText?, created: JSONSlice?)
    case text(choice: Int64, JSONText)
    case reasoning(choice: Int64, JSONText)
    /// Of the reasoning before it; means something to `format`'s provider only.
    case signature(choice: Int64, JSONText, format: WireFormat)
    /// Reasoning that only the provider can read.
    case encryptedReasoning(choice: Int64, JSONText, format: WireFormat)
    case refusal(choice: Int64, JSONText)
    /// `call` counts the calls of the choice from 0. `signature` is Gemini's.
    case toolStart(choice: Int64, call: Int, id: JSONText?, name: JSONText, signature: JSONText?)
    /// A piece of the JSON text of the call's arguments, as string content.
    case toolArguments(choice: Int64, call: Int, JSONText)
    /// The text, reasoning or call that was being sent is whole.
    case blockEnd(choice: Int64)
    case annotation(choice: Int64, Annotation)
    /// OpenAI's `logprobs` object.
    case logprobs(choice: Int64, JSONSlice)
    case media(choice: Int64, MediaPart)
    case finish(choice: Int64, FinishReason, native: JSONText?, stopSequence: JSONText?)
    /// What has been used so far; the last one counts.
    case usage(ConversationUsage)
    case failure(ProviderFailure)
    /// Nothing comes after it.
    case end
}
