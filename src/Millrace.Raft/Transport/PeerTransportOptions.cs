namespace Millrace.Raft.Transport;

/// <summary>The bounds of the connections between members.</summary>
public sealed record PeerTransportOptions
{
    /// <summary>Connections are encrypted, and both sides prove who they are; null: in the clear.</summary>
    public TlsIdentity? Tls { get; init; }

    /// <summary>Largest frame that is believed. Default 64 MiB.</summary>
    public int MaxFrameBytes { get; init; } = 64 << 20;

    /// <summary>Bytes waiting for one member; messages past it are dropped, which the algorithm allows for. Default 64 MiB.</summary>
    public long MaxQueuedBytes { get; init; } = 64 << 20;

    /// <summary>Bytes put together for one write to a socket. Default 256 KiB.</summary>
    public int MaxBatchBytes { get; init; } = 256 << 10;

    /// <summary>The first pause before a broken connection is tried again; it doubles up to <see cref="ReconnectMax"/>. Default 20 ms.</summary>
    public TimeSpan ReconnectMin { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>Default 500 ms.</summary>
    public TimeSpan ReconnectMax { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a connection and its first words may take. Default 2 s.</summary>
    public TimeSpan HandshakeTimeout { get; init; } = TimeSpan.FromSeconds(2);
}
