import NIOCore

/// Commands whose answers belong together, on their way through the channel.
struct RedisPipeline: Sendable {
    var commands: [RedisCommand]
    var promise: EventLoopPromise<[RedisReply]>
    /// From sending to the last answer.
    var timeout: TimeAmount
}

/// Sends pipelines and gives each its answers, which come in the order of the commands. An answer that is late ends the
/// connection, because those after it could not be told apart any more.
final class RedisChannelHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = RedisPipeline
    typealias OutboundOut = ByteBuffer

    private struct Waiting {
        var count: Int
        var replies: [RedisReply] = []
        var promise: EventLoopPromise<[RedisReply]>
        var timeout: Scheduled<Void>
    }

    private let reader: RedisReplyReader
    private let target: String
    private var waiting = CircularBuffer<Waiting>()
    private var error: RedisError?

    init(target: String) throws(RedisError) {
        self.reader = try RedisReplyReader()
        self.target = target
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let pipeline = Self.unwrapOutboundIn(data)
        if let error = self.error {
            pipeline.promise.fail(error)
            promise?.fail(error)
            return
        }
        var buffer = context.channel.allocator.buffer(capacity: 256)
        for command in pipeline.commands { command.write(to: &buffer) }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let timeout = context.eventLoop.scheduleTask(in: pipeline.timeout) {
            let (handler, context) = bound.value
            handler.end(
                RedisError(.connectionLost, "Redis at \(handler.target) did not answer in time."), context: context)
        }
        self.waiting.append(Waiting(count: pipeline.commands.count, promise: pipeline.promise, timeout: timeout))
        context.write(Self.wrapOutboundOut(buffer), promise: promise)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        do throws(RedisError) {
            try self.reader.feed(Self.unwrapInboundIn(data))
            while let reply = try self.reader.next() { try self.take(reply) }
        } catch {
            self.end(error, context: context)
        }
    }

    private func take(_ reply: RedisReply) throws(RedisError) {
        guard !self.waiting.isEmpty else {
            throw RedisError(.connectionLost, "Redis at \(self.target) sent what nobody had asked for.")
        }
        self.waiting[self.waiting.startIndex].replies.append(reply)
        let first = self.waiting[self.waiting.startIndex]
        guard first.replies.count == first.count else { return }
        self.waiting.removeFirst()
        first.timeout.cancel()
        first.promise.succeed(first.replies)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.fail(RedisError(.connectionLost, "Redis at \(self.target) closed the connection."))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.end(
            RedisError(.connectionLost, "The connection to Redis at \(self.target) broke: \(error)."), context: context)
    }

    private func end(_ error: RedisError, context: ChannelHandlerContext) {
        self.fail(error)
        context.close(promise: nil)
    }

    private func fail(_ error: RedisError) {
        if self.error == nil { self.error = error }
        while let first = self.waiting.popFirst() {
            first.timeout.cancel()
            first.promise.fail(error)
        }
    }
}
