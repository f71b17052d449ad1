namespace Millrace.Coordination.Grpc.Http2;

/// <summary>Bounds of a connection.</summary>
internal sealed record ConnectionLimits
{
    /// <summary>Calls of one connection at once, those included that were reset and have not ended; more are refused. Default 10,000.</summary>
    public int MaxStreams { get; init; } = 10_000;

    /// <summary>Bytes of a block of headers as it is sent. Default 16 KiB.</summary>
    public int MaxHeaderBlockBytes { get; init; } = 16 << 10;

    /// <summary>Bytes of all names and values of a block, and 32 for each, as RFC 9113 counts. Default 32 KiB.</summary>
    public int MaxHeaderListBytes { get; init; } = 32 << 10;

    /// <summary>Bytes of a request's message.</summary>
    public int MaxMessageBytes { get; init; } = 2 << 20;

    /// <summary>What a client may send on a connection ahead of what was read. Default 8 MiB.</summary>
    public int ConnectionWindowBytes { get; init; } = 8 << 20;

    /// <summary>The same for each call. Default 1 MiB.</summary>
    public int StreamWindowBytes { get; init; } = 1 << 20;

    /// <summary>Bytes that wait for a slow client; past it nothing more is read from it. Default 1 MiB.</summary>
    public int MaxUnsentBytes { get; init; } = 1 << 20;

    /// <summary>Until when a client must have begun to speak HTTP/2. Default 10 s.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long the answer to a ping may wait for an answer to a call that it can leave with. Default 20 ms.</summary>
    public TimeSpan PongPatience { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Threads that read from clients. Default: one for every two processors, at most 4.</summary>
    public int Threads { get; init; } = Math.Clamp(Environment.ProcessorCount / 2, 1, 4);

    /// <summary>Head of a request of HTTP/1. Default 8 KiB.</summary>
    public int MaxPlainHeadBytes { get; init; } = 8 << 10;
}
