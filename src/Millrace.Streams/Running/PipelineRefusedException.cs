namespace Millrace.Streams.Running;

/// <summary>
/// A pipeline cannot start or go on because of what its file, its state or its data say: a changed window over open state, a row that
/// <c>on_fail: stop</c> stops at. Starting it again would end the same way, so nobody restarts it by itself.
/// </summary>
public class PipelineRefusedException(string message, Exception? inner = null) : Exception(message, inner);
