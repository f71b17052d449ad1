using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Raft;
using Millrace.Raft.Messages;
using Millrace.Raft.Transport;

namespace Millrace.Tests.Raft;

public sealed class PeerTransportTests
{
    [Fact]
    public async Task Every_member_reaches_another_however_early_it_was_told_of_it()
    {
        const int Members = 100;
        var receiver = new Receiver();
        await using var target = new PeerTransport(7, new MemberId(1000), receiver, TimeProvider.System, NullLogger.Instance);
        var port = target.Listen(new IPEndPoint(IPAddress.Loopback, 0));
        var senders = Enumerable.Range(1, Members)
            .Select(i => new PeerTransport(7, new MemberId((ulong)i), new Receiver(), TimeProvider.System, NullLogger.Instance)).ToArray();
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
        foreach (var sender in senders)
            sender.SetPeer(new MemberId(1000), "127.0.0.1", port);
        while (receiver.Heard.Count < Members)
        {
            // What is said before the connection is made is dropped, so it is said again.
            for (var i = 0; i < Members; i++)
                senders[i].Send(new MemberId(1000), 1, new byte[] { (byte)i });
            await Task.Delay(10, patience.Token);
        }
        foreach (var sender in senders)
            await sender.DisposeAsync();
    }

    private sealed class Receiver : IPeerReceiver
    {
        public ConcurrentDictionary<MemberId, byte> Heard { get; } = new();

        public void Receive(Message message)
        {
        }

        public void Receive(MemberId from, byte channel, ReadOnlyMemory<byte> content) => Heard[from] = content.Span[0];

        public void Lost(MemberId from)
        {
        }

        public byte[] Answer(ReadOnlyMemory<byte> question) => [];
    }
}
