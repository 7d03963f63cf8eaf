/// Bounds of what one HTTP/1.1 message may carry besides its body. All are inclusive, in bytes unless named otherwise.
package struct HTTPLimits: Hashable, Sendable {
    /// Whole head with its blank line. At most 16 MiB.
    package var headBytesMax = 32_768
    package var headerCountMax = 100
    package var targetBytesMax = 8192
    /// Extensions of one chunk, without its size and line end.
    package var chunkExtensionBytesMax = 256
    /// All trailer lines after the last chunk together.
    package var trailerBytesMax = 4096

    package init() {}
}
