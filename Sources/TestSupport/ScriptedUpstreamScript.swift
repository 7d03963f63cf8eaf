/// What the scripted upstream does with a call, chosen by the model named in its body.
package enum UpstreamScript: Sendable {
    /// How the length of an answer is told.
    package enum Framing: Sendable { case contentLength, chunked, untilClose }

    /// A whole answer in JSON with usage. `padBytes` of text are added to its message.
    case answer(framing: Framing = .contentLength, padBytes: Int = 0)
    /// The same, sent after `milliseconds`.
    case slowAnswer(milliseconds: Int)
    /// A whole answer without `usage`.
    case answerWithoutUsage
    /// As `answer`, with cached and reasoning tokens in the details.
    case detailedAnswer
    /// Receives the request, then waits until the test opens the gate and answers.
    case heldAnswer
    /// Never answers.
    case silent
    /// `events` content events, then the finish, usage if it was asked for, and `[DONE]`. `eventBytes` of text each.
    case stream(events: Int, gapMilliseconds: Int = 0, eventBytes: Int = 5)
    /// A stream that ignores `stream_options.include_usage`.
    case streamWithoutUsage(events: Int)
    /// Sends `beforeGate` events, waits until the test opens the gate, then the rest.
    case heldStream(events: Int, beforeGate: Int)
    /// Cuts the connection after `afterEvents` events: an orderly close without the last chunk.
    case cutStream(afterEvents: Int)
    /// Sends an error event after `afterEvents` events and ends the stream in order.
    case errorInStream(afterEvents: Int)
    /// An error in OpenAI's shape.
    case status(Int, retryAfterSeconds: Int? = nil)
    /// Fails with 500 the first `times` times, then answers.
    case failsFirst(times: Int)
    /// Closes the connection without an answer.
    case closesWithoutAnswer
    /// Closes in the middle of the answer's head.
    case cutInHead
    /// Closes in the middle of a body with a length.
    case cutInBody
    /// Answers with keep-alive; closes as soon as another request begins on the connection.
    case closesWhenReused
    /// Answers with keep-alive and closes at once.
    case closesAfterAnswer
    /// A chunked answer with a size that is no number.
    case invalidChunking
    /// An answer with both lengths.
    case bothLengths
    /// Bare line feeds and carriage returns in header values.
    case headerInjection
    /// Answers 400 when it has the head, before the body is read.
    case earlyAnswer
    /// 200 with a body that is not JSON.
    case notJSON
}

/// Token counts that the upstream reports, in OpenAI's convention (cached is part of prompt, reasoning of completion).
package struct UpstreamUsage: Sendable, Equatable {
    package var promptTokens: Int
    package var completionTokens: Int
    package var cachedTokens = 0
    package var reasoningTokens = 0

    package init(promptTokens: Int, completionTokens: Int, cachedTokens: Int = 0, reasoningTokens: Int = 0) {
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.cachedTokens = cachedTokens
        self.reasoningTokens = reasoningTokens
    }

    var json: String {
        """
        {"prompt_tokens":\(self.promptTokens),"completion_tokens":\(self.completionTokens),\
        "total_tokens":\(self.promptTokens + self.completionTokens),\
        "prompt_tokens_details":{"cached_tokens":\(self.cachedTokens),"audio_tokens":0},\
        "completion_tokens_details":{"reasoning_tokens":\(self.reasoningTokens),"audio_tokens":0}}
        """
    }
}

/// One request as the upstream counted it.
package struct UpstreamCall: Sendable {
    /// How far the call got, seen from the upstream.
    package enum State: Sendable, Equatable {
        case received
        /// The whole answer, as the script wants it, was written.
        case answered
        /// The gateway ended the connection before that.
        case abandoned
    }

    /// 0 for the first request the upstream received. Prompt tokens are 1000 more, so that a row names its call.
    package let sequence: Int
    package let path: String
    package let model: String
    /// `user` of the body, by which tests tell their calls apart. `nil`: not given.
    package let user: String?
    package let isStream: Bool
    /// The request's head as it stood on the wire.
    package let head: String
    package let body: [UInt8]
    package var state = State.received
    /// Content events written so far.
    package var eventsSent = 0
    /// The usage that was written to the wire. `nil`: none was.
    package var reportedUsage: UpstreamUsage?
}
