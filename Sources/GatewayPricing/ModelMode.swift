/// What a model is for: LiteLLM's `mode`.
package enum ModelMode: String, Hashable, Sendable, CaseIterable {
    case chat, completion, responses, embedding, rerank, moderation, realtime, search, ocr, other
    case imageGeneration = "image_generation"
    case imageEdit = "image_edit"
    case audioTranscription = "audio_transcription"
    case audioSpeech = "audio_speech"
    case videoGeneration = "video_generation"
}
