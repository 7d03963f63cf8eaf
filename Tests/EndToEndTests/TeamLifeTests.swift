import Foundation
import TestSupport
import Testing

extension EndToEnd {
    @Suite("Owners of keys")
    struct TeamLife {
        private static let scripts: [String: UpstreamScript] = ["plain": .answer(), "other": .answer()]

        @Test("that are blocked, or have lists of models, bind the very next call")
        func owners() throws {
            let scene = try Scene(Self.scripts)
            defer { scene.end() }
            func change(_ path: String, _ body: String) throws {
                let response = try scene.gateway.request("POST", path, body: body)
                #expect(response.status == 200, "\(path): \(response.text)")
            }
            try change("/team/new", #"{"team_id":"t","models":["plain"]}"#)
            let key = try scene.gateway.generateKey(#"{"team_id":"t"}"#)
            func call(_ model: String = "plain") throws -> (Int, String?) {
                let response = try scene.gateway.chat(model: model, key: key)
                return (response.status, response.openAIError?["type"] as? String)
            }
            #expect(try call() == (200, nil))
            #expect(try call("other") == (403, "team_model_access_denied"))
            try change("/team/model/add", #"{"team_id":"t","models":["other"]}"#)
            #expect(try call("other") == (200, nil))
            try change("/team/block", #"{"team_id":"t"}"#)
            #expect(try call() == (401, "auth_error"))
            try change("/team/unblock", #"{"team_id":"t"}"#)
            try change("/customer/block", #"{"user_ids":["eve"]}"#)
            #expect(try scene.gateway.chat(model: "plain", key: key, user: "eve").status == 400)
            #expect(try scene.gateway.chat(model: "plain", key: key, user: "ann").status == 200)
            try change("/customer/unblock", #"{"user_ids":["eve"]}"#)
            #expect(try scene.gateway.chat(model: "plain", key: key, user: "eve").status == 200)
            #expect(try call() == (200, nil))
            let management = try scene.gateway.generateKey(#"{"key_type":"management"}"#)
            #expect(try scene.gateway.chat(model: "plain", key: management).status == 403)
            try scene.expectLedgerAgrees()
        }

        @Test("that are changed on one pod bind calls on all others after ?wait=fleet")
        func fleet() throws {
            let fleet = try FleetScene(Self.scripts)
            defer { fleet.end() }
            func change(_ pod: Int, _ path: String, _ body: String) throws {
                let response = try fleet.pods[pod % fleet.pods.count].request("POST", path + "?wait=fleet", body: body)
                #expect(
                    response.status == 200 && response.header("x-martlet-fleet") == "acknowledged", "\(response.text)")
            }
            try change(0, "/team/new", #"{"team_id":"t"}"#)
            let key = try fleet.pods[0].generateKey(#"{"team_id":"t"}"#)
            for round in 0..<6 {
                try change(round, round % 2 == 0 ? "/team/block" : "/team/unblock", #"{"team_id":"t"}"#)
                for pod in fleet.pods {
                    #expect(try pod.chat(model: "plain", key: key).status == (round % 2 == 0 ? 401 : 200))
                }
            }
            try fleet.expectLedgerAgrees()
        }
    }
}
