import CHiredis
import Glibc

/// hiredis, loaded when the Redis transport is configured: a pod that has none carries nothing of it.
package struct HiredisLibrary: Sendable {
    typealias Reader = UnsafeMutablePointer<redisReader>

    let createReader: @convention(c) () -> Reader?
    let freeReader: @convention(c) (Reader?) -> Void
    let feed: @convention(c) (Reader?, UnsafePointer<CChar>?, Int) -> CInt
    let getReply: @convention(c) (Reader?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?) -> CInt
    let freeReply: @convention(c) (UnsafeMutableRawPointer?) -> Void

    /// As the build's headers name it, such as `libhiredis.so.0.14`.
    package static let fileName = withUnsafeBytes(of: chiredis_library_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
    }

    private static let loaded = Result { () throws(RedisError) in try HiredisLibrary(named: HiredisLibrary.fileName) }

    /// - Throws: when the system has no such library.
    package static func load() throws(RedisError) -> HiredisLibrary { try self.loaded.get() }

    /// - Parameter name: a file that the dynamic linker finds, or a path. It stays loaded for good.
    package init(named name: String) throws(RedisError) {
        guard let handle = dlopen(name, RTLD_NOW | RTLD_LOCAL) else { throw Self.missing(name) }
        func function<Function>(_ symbol: String, as type: Function.Type) throws(RedisError) -> Function {
            guard let address = dlsym(handle, symbol) else { throw Self.missing(name) }
            return unsafeBitCast(address, to: type)
        }
        self.createReader = try function("redisReaderCreate", as: (@convention(c) () -> Reader?).self)
        self.freeReader = try function("redisReaderFree", as: (@convention(c) (Reader?) -> Void).self)
        self.feed = try function(
            "redisReaderFeed", as: (@convention(c) (Reader?, UnsafePointer<CChar>?, Int) -> CInt).self)
        self.getReply = try function(
            "redisReaderGetReply",
            as: (@convention(c) (Reader?, UnsafeMutablePointer<UnsafeMutableRawPointer?>?) -> CInt).self)
        self.freeReply = try function(
            "freeReplyObject", as: (@convention(c) (UnsafeMutableRawPointer?) -> Void).self)
    }

    /// Asked for after `dlopen` or `dlsym` has failed.
    private static func missing(_ name: String) -> RedisError {
        let reason = dlerror().map { String(cString: $0) } ?? "no reason was given"
        return RedisError(
            .settings,
            """
            use_redis_transaction_buffer needs \(name), which cannot be loaded (\(reason)). Install it (Debian: \
            libhiredis with that number, which libhiredis-dev brings), or remove the setting.
            """)
    }
}
