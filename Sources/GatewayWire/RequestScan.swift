/// What the gateway needs to know of an OpenAI-style request body. All ranges point into the scanned bytes.
package struct RequestScan: Sendable {
    /// Content of the `model` string without quotes, still escaped. Empty: no such field, or "".
    package var model = ByteRange.empty
    /// The same with its quotes: what is replaced to rename the model. Empty: no such field.
    package var modelToken = ByteRange.empty
    /// The name must be unescaped before it is compared.
    package var modelHasEscapes = false
    package var stream = false
    /// The whole value of `stream_options`, an object or `null`. Empty: no such field.
    package var streamOptions = ByteRange.empty
    /// Number of fields in the `stream_options` object.
    package var streamOptionsFieldCount = 0
    /// The value (`true`, `false`, `null`) of `stream_options.include_usage`. Empty: no such field.
    package var includeUsageToken = ByteRange.empty
    package var includeUsage = false
    /// `max_completion_tokens`, else `max_tokens`, 0 or more. -1: neither, or a negative number.
    package var maxTokens: Int64 = -1
    /// `n`, at least 1.
    package var choiceCount: Int64 = 1
    /// Content of the `user` string. Empty: absent, not a string, or written with escapes.
    package var user = ByteRange.empty
    /// The whole value of `mock_response`, a string with its quotes or an object. Empty: absent or `null`.
    package var mockResponse = ByteRange.empty
    /// Bytes of all string values (not keys) at any depth, escapes counted as the bytes they stand for.
    package var inputTextBytes = 0
    /// Offset of the closing brace of the body, where fields can be put in front.
    package var objectEnd = 0
    /// 0: a field put before `objectEnd` needs no comma.
    package var topLevelFieldCount = 0

    package init() {}
}
