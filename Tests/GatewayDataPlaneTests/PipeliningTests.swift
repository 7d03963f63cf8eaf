import Foundation
import GatewayCore
import GatewayDataPlane
import TestSupport
import Testing

@Suite("Pipelined requests", .serialized)
struct PipeliningTests {
    @Test("are answered in order, calls and management requests mixed")
    func inOrder() async throws {
        try await withGateway { setup, _ in
            setup.add("built-in", port: 0, answer: .text("made here"))
        } _: { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            var all: [UInt8] = []
            for number in 0..<30 {
                switch number % 3 {
                case 0: all += gateway.requestBytes(Wire.chat(extra: ",\"user\":\"\(number)\""))
                case 1: all += RawHTTPClient.bytes("GET", "/\(number)")
                default: all += gateway.requestBytes(Wire.chat("built-in"))
                }
            }
            try client.send(all)
            let connection = try provider.accept()
            for number in 0..<30 {
                if number % 3 == 0 {
                    #expect(try connection.request().json["user"] as? String == "\(number)")
                    try connection.answer(Wire.completion("\(number)"))
                }
                let answer = try client.response()
                switch number % 3 {
                case 0: #expect(answer.text == Wire.completion("\(number)"))
                case 1: #expect(answer.text == "{}")
                default: #expect(answer.text.contains("made here"))
                }
            }
            #expect(gateway.settled == 20)
        }
    }

    @Test("by the megabyte are not read beyond the bound while a call is in work, and all served after it")
    func bound() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            try client.send(gateway.requestBytes(Wire.chat(extra: ",\"user\":\"first\"")))
            let connection = try provider.accept()
            _ = try connection.request()
            let filler = gateway.requestBytes(
                Wire.chat("nothing", extra: ",\"pad\":\"\(String(repeating: "x", count: 2000))\""))
            let sent = client.socket.writeAsMuchAsFits(filler, bytesMax: 64 << 20)
            #expect(sent < 32 << 20, "the gateway took in \(sent) bytes behind a call in work")
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
            // What was sent whole is answered; then the rest of the cut request follows and a last one.
            let whole = sent / filler.count
            for number in 0..<whole {
                #expect(try client.response().status == 400, "request \(number) of \(whole)")
            }
            try client.send(filler[(sent % filler.count)...] + gateway.requestBytes(Wire.chat()))
            #expect(try client.response().status == 400)
            _ = try connection.request()
            try connection.answer(Wire.completion())
            #expect(try client.response().status == 200)
        }
    }

    @Test("of which each is in work for a while never pile up in memory")
    func noCreep() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            let filler = gateway.requestBytes(Wire.chat())
            var sent = client.socket.writeAsMuchAsFits(filler, bytesMax: 64 << 20)
            let atFirst = sent
            let connection = try provider.accept()
            // A gateway that reads more than it serves takes in 32 KiB for each of these small requests.
            for _ in 0..<200 {
                _ = try connection.request()
                try connection.answer(Wire.completion())
                #expect(try client.response().status == 200)
                sent += client.socket.writeAsMuchAsFits(
                    filler, from: sent % filler.count, bytesMax: 64 << 20, patience: 0)
            }
            #expect(sent - atFirst < 200 * filler.count + (2 << 20), "took in \(sent - atFirst) bytes for 200 requests")
            client.close()
        }
    }

    @Test("whose answers nobody reads are not served without end")
    func unreadAnswers() async throws {
        try await withGateway { setup, _ in
            setup.add("built-in", port: 0, answer: .text(String(repeating: "x", count: 1000)))
        } _: { gateway, _ in
            let client = try RawHTTPClient(port: gateway.port, receiveBufferBytes: 16 << 10)
            let request = gateway.requestBytes(Wire.chat("built-in"))
            let sent = client.socket.writeAsMuchAsFits(request, bytesMax: 32 << 20, patience: 1500)
            // The kernels hold some megabytes of requests and of answers; a gateway that goes on makes them all.
            #expect(sent < 32 << 20)
            #expect(sent / request.count > 10_000, "too little was sent for the test to mean anything")
            #expect(gateway.settled < 8000, "served \(gateway.settled) requests for a caller that reads none")
            for number in 0..<(sent / request.count) {
                let answer = try client.response()
                #expect(answer.status == 200 && answer.end == .complete, "request \(number)")
            }
        }
    }

    @Test("behind one that asks to close are not served, and its answer is not lost to a reset")
    func behindClose() async throws {
        try await withGateway { gateway, provider in
            let client = try RawHTTPClient(port: gateway.port)
            try client.send(gateway.requestBytes(Wire.chat(), headers: ["Connection: close"]))
            let connection = try provider.accept()
            _ = try connection.request()
            _ = client.socket.writeAsMuchAsFits(gateway.requestBytes(Wire.chat()), bytesMax: 1 << 20)
            let text = String(repeating: "y", count: 200_000)
            try connection.answer(Wire.completion(text))
            let answer = try client.response()
            #expect(answer.text == Wire.completion(text))
            #expect(answer.end == .complete)
            #expect(client.isClosed(within: .seconds(10)))
            #expect(gateway.settled == 1)
        }
    }
}
