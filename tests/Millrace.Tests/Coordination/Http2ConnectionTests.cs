using System.Buffers.Binary;
using System.Net;
using System.Text;
using Google.Protobuf;
using Microsoft.Extensions.Logging.Abstractions;
using Millrace.Coordination.Grpc;
using Millrace.Coordination.Grpc.Http2;
using Millrace.Coordination.Wire;
using Xunit.Abstractions;

namespace Millrace.Tests.Coordination;

/// <summary>The HTTP/2 front without a network: bytes in, bytes out.</summary>
public sealed class Http2ConnectionTests(ITestOutputHelper output)
{
    private const byte Data = 0, Headers = 1, Reset = 3, Settings = 4, Ping = 6, GoAway = 7, WindowUpdate = 8, Continuation = 9;
    private static readonly ConnectionLimits Limits = new() { MaxMessageBytes = 1000, MaxStreams = 3, StreamWindowBytes = 20_000, ConnectionWindowBytes = 70_000 };

    [Theory]
    [InlineData("828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf")]
    [InlineData("828684410f7777772e6578616d706c652e636f6d", "828684be58086e6f2d6361636865", "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565")]
    public void Headers_decode_as_in_the_examples_of_the_specification(params string[] blocks)
    {
        // RFC 7541, C.4 and C.3.
        var decoder = new HpackDecoder(4096);
        var fields = new List<HeaderField>();
        foreach (var block in blocks)
            decoder.Decode(Convert.FromHexString(block), fields);
        Assert.Equal(
            [
                (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com"),
                (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com"), ("cache-control", "no-cache"),
                (":method", "GET"), (":scheme", "https"), (":path", "/index.html"), (":authority", "www.example.com"), ("custom-key", "custom-value"),
            ],
            fields.Select(f => (f.Name, f.Value)));
    }

    [Theory]
    [InlineData("80")] // Index 0.
    [InlineData("be")] // Nothing is in the table yet.
    [InlineData("3fe21f")] // A table larger than was offered.
    [InlineData("000161")] // The value is missing.
    [InlineData("0085ffffffffff00")] // The end of a string within one.
    [InlineData("ffffffffffff7f")] // A number without end.
    public void Malformed_headers_end_the_connection(string block)
    {
        var client = new Client();
        client.Send(Headers, 5, 1, Convert.FromHexString(block));
        Assert.False(client.IsOpen);
        Assert.Equal(Http2Error.Compression, client.GoneFor);
    }

    [Fact]
    public void A_call_is_answered_however_its_bytes_are_cut()
    {
        var whole = new Client();
        whole.Call(1, "/test/Echo", "hello");
        Assert.Equal("hello", whole.Answers.Single().Text);
        for (var size = 1; size < 40; size++)
        {
            var client = new Client(hasPreface: false);
            foreach (var piece in whole.Sent.Chunk(size))
                client.Give(piece);
            Assert.Equal((1, "hello", 0), client.Answers.Single());
        }
    }

    [Fact]
    public void The_same_head_may_come_again_and_again_and_the_table_may_change_between()
    {
        var client = new Client();
        for (var i = 0; i < 20; i++)
        {
            var id = 1 + (2 * i);
            if (i == 10)
                client.Send(Headers, 5, id, [.. Client.Head("/test/Echo"), 0x40, 1, (byte)'a', 1, (byte)'b']);
            else
                client.Call(id, i % 3 == 0 ? "/test/Nothing" : "/test/Echo", "n" + i);
            var (answered, text, status) = client.Answers[^1];
            Assert.Equal((id, i is 10 ? 2 : i % 3 == 0 ? 12 : 0), (answered, status));
            Assert.Equal(status == 0 ? "n" + i : "", text);
        }
    }

    [Fact]
    public void Padding_priorities_pings_and_unknown_frames_are_taken_as_they_should()
    {
        var client = new Client();
        client.Send(77, 9, 0, [1, 2, 3]);
        client.Send(Ping, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]);
        client.Send(Headers, 4 | 8 | 32, 1, [2, 0, 0, 0, 0, 9, .. Client.Head("/test/Echo"), 0, 0]);
        client.Send(2, 0, 1, [0, 0, 0, 0, 1]);
        client.Send(Data, 1 | 8, 1, [3, .. Client.Message("padded"), 0, 0, 0]);
        Assert.Equal((1, "padded", 0), client.Answers.Single());
        Assert.Contains(client.Frames, f => f.Type == Ping && f.Flags == 1 && f.Payload.SequenceEqual(new byte[] { 1, 2, 3, 4, 5, 6, 7, 8 }));
    }

    [Fact]
    public void The_answer_to_a_ping_leaves_with_the_next_answer_or_alone_when_there_is_none()
    {
        var client = new Client();
        client.Send(Ping, 0, 0, [1, 1, 1, 1, 1, 1, 1, 1]);
        Assert.True(client.Connection.HoldsPong);
        Assert.DoesNotContain(client.Frames, static f => f.Type == Ping);
        client.Call(1, "/test/Echo", "takes it along");
        Assert.False(client.Connection.HoldsPong);
        Assert.Single(client.Frames, static f => f.Type == Ping && f.Payload[0] == 1);
        client.Send(Ping, 0, 0, [2, 2, 2, 2, 2, 2, 2, 2]);
        client.Send(Ping, 0, 0, [3, 3, 3, 3, 3, 3, 3, 3]);
        client.Connection.FlushPong();
        Assert.Equal([1, 2, 3], client.Frames.Where(static f => f.Type == Ping).Select(static f => f.Payload[0]));
        client.Connection.FlushPong();
        Assert.Equal(3, client.Frames.Count(static f => f.Type == Ping));
    }

    [Fact]
    public void Too_many_calls_at_once_are_refused_also_when_the_client_gives_them_up_at_once()
    {
        var client = new Client();
        for (var i = 0; i < 5; i++)
        {
            client.Call(1 + (2 * i), "/test/Wait", "x");
            client.Send(Reset, 0, 1 + (2 * i), [0, 0, 0, 8]);
        }
        Assert.Equal([7, 9], client.Frames.Where(f => f.Type == Reset && f.Payload[3] == (byte)Http2Error.RefusedStream).Select(f => f.Stream));
        Assert.False(client.Connection.IsIdle);
        client.EndWaits();
        Assert.True(SpinWait.SpinUntil(() => client.Connection.IsIdle, TimeSpan.FromSeconds(30)));
        client.Call(11, "/test/Echo", "again");
        Assert.Equal((11, "again", 0), client.Answers.Single());
    }

    [Fact]
    public void Answers_wait_for_windows_and_leave_in_order_once_they_open()
    {
        var client = new Client();
        client.Send(Settings, 0, 0, [0, 4, 0, 0, 0, 10]);
        client.Call(1, "/test/Echo", "hello world");
        client.Call(3, "/test/Echo", "me");
        Assert.Equal([(3, "me", 0)], client.Answers);
        client.Send(WindowUpdate, 0, 1, [0, 0, 0, 3]);
        Assert.Single(client.Answers);
        client.Send(Settings, 0, 0, [0, 4, 0, 0, 0, 200]);
        Assert.Equal((1, "hello world", 0), client.Answers[^1]);
    }

    [Fact]
    public void The_connections_window_is_shared_and_what_it_stops_goes_on_when_it_opens()
    {
        var client = new Client();
        client.Send(Settings, 0, 0, [0, 4, 0x7F, 0xFF, 0xFF, 0xFF]);
        for (var i = 0; i < 100; i++)
            client.Call(1 + (2 * i), "/test/Echo", new string('x', 900));
        var before = client.Answers.Count;
        // The calls that were stopped are over for the server's bound on calls, since what serves them has returned.
        Assert.InRange(before, 60, 75);
        client.Send(WindowUpdate, 0, 0, [0, 1, 0, 0]);
        Assert.Equal(100, client.Answers.Count);
        Assert.All(client.Answers, a => Assert.Equal((900, 0), (a.Text.Length, a.Status)));
    }

    [Fact]
    public void A_slow_network_loses_nothing()
    {
        var client = new Client { MostAtOnce = 7 };
        for (var i = 0; i < 30; i++)
            client.Call(1 + (2 * i), "/test/Echo", "text " + i);
        Assert.True(client.IsWaitingToWrite);
        client.MostAtOnce = int.MaxValue;
        client.Connection.Writable();
        Assert.False(client.IsWaitingToWrite);
        Assert.Equal(Enumerable.Range(0, 30).Select(i => "text " + i), client.Answers.Select(a => a.Text));
    }

    [Fact]
    public void A_client_with_a_small_table_gets_headers_without_it()
    {
        var client = new Client();
        client.Call(1, "/test/Echo", "a");
        client.Send(Settings, 0, 0, [0, 1, 0, 0, 0, 0]);
        client.Call(3, "/test/Echo", "b");
        client.Call(5, "/test/Echo", "c");
        Assert.Equal(["a", "b", "c"], client.Answers.Select(a => a.Text));
    }

    [Theory]
    [InlineData("too large", 8)]
    [InlineData("malformed", 13)]
    [InlineData("cut short", 2)]
    [InlineData("compressed", 13)]
    [InlineData("nothing", 2)]
    public void Bad_messages_end_their_call_and_no_other(string how, int status)
    {
        var client = new Client();
        client.Send(Headers, 4, 1, Client.Head("/test/Echo"));
        client.Send(Data, 1, 1, how switch
        {
            "too large" => [0, 0, 0, 4, 0, 1, 2, 3],
            "malformed" => [0, 0, 0, 0, 2, 0xFF, 0xFF],
            "cut short" => [0, 0, 0, 0, 9, 1, 2, 3],
            "compressed" => [1, 0, 0, 0, 1, 3],
            _ => [],
        });
        client.Call(3, "/test/Echo", "fine");
        Assert.Equal([(1, "", status), (3, "fine", 0)], client.Answers);
        Assert.True(client.Connection.IsIdle);
    }

    public static TheoryData<string, byte[], int> Attacks => new()
    {
        { "a frame larger than allowed", Client.Frame(Data, 0, 1, new byte[(16 << 10) + 1]), (int)Http2Error.FrameSize },
        { "headers without end", [.. Client.Frame(Headers, 0, 1, new byte[16 << 10]), .. Client.Frame(Continuation, 0, 1, new byte[1])], (int)Http2Error.EnhanceYourCalm },
        { "empty pieces of headers", [.. Client.Frame(Headers, 0, 1, [0x82]), .. Client.Frame(Continuation, 0, 1, [])], (int)Http2Error.EnhanceYourCalm },
        { "headers that unfold to far more", Client.Frame(Headers, 5, 1, Bomb()), (int)Http2Error.EnhanceYourCalm },
        { "a block that is interrupted", [.. Client.Frame(Headers, 0, 1, [0x82]), .. Client.Frame(Ping, 0, 0, new byte[8])], (int)Http2Error.Protocol },
        { "data of no call", Client.Frame(Data, 0, 1, [1]), (int)Http2Error.Protocol },
        { "a call of the server", Client.Frame(Headers, 5, 2, Client.Head("/test/Echo")), (int)Http2Error.Protocol },
        { "a window of more than 2 GiB", [.. Client.Frame(WindowUpdate, 0, 0, [0x7F, 0xFF, 0xFF, 0xFF]), .. Client.Frame(WindowUpdate, 0, 0, [0x7F, 0xFF, 0xFF, 0xFF])], (int)Http2Error.FlowControl },
        { "a window of nothing", Client.Frame(WindowUpdate, 0, 0, [0, 0, 0, 0]), (int)Http2Error.Protocol },
        { "a promise", Client.Frame(5, 4, 1, [0, 0, 0, 2]), (int)Http2Error.Protocol },
        { "more data than the window", [.. Client.Frame(Headers, 4, 1, Client.Head("/test/Stream")), .. Flood()], (int)Http2Error.FlowControl },
        { "a head without a path", Client.Frame(Headers, 5, 1, [0x83, 0x86]), (int)Http2Error.Protocol },
        { "upper case", Client.Frame(Headers, 5, 1, [.. Client.Head("/test/Echo"), 0, 1, (byte)'A', 1, (byte)'b']), (int)Http2Error.Protocol },
    };

    [Theory]
    [MemberData(nameof(Attacks))]
    public void What_breaks_the_protocol_ends_the_connection_with_the_reason(string what, byte[] bytes, int code)
    {
        Assert.NotEmpty(what);
        var client = new Client();
        client.Give(bytes);
        Assert.False(client.IsOpen);
        Assert.Equal((Http2Error)code, client.GoneFor);
    }

    [Fact]
    public void Text_of_another_protocol_is_told_what_this_port_is()
    {
        var client = new Client(hasPreface: false);
        client.Give("SSH-2.0-OpenSSH_9.2\r\n\r\n"u8);
        Assert.Equal(Http2Error.Protocol, client.GoneFor);
        Assert.Contains("HTTP/1", Encoding.ASCII.GetString(client.Frames[^1].Payload), StringComparison.Ordinal);
    }

    [Fact]
    public void Random_damage_ends_a_connection_or_is_answered_but_never_throws()
    {
        var random = new Random(Seeds.Next(output));
        var good = new Client();
        good.Send(Settings, 0, 0, [0, 4, 0, 0, 0, 100]);
        for (var i = 0; i < 8; i++)
            good.Call(1 + (2 * i), i % 2 == 0 ? "/test/Echo" : "/test/Stream", new string('y', random.Next(300)));
        good.Send(WindowUpdate, 0, 0, [0, 0, 1, 0]);
        good.Send(Reset, 0, 3, [0, 0, 0, 8]);
        for (var round = 0; round < 3000; round++)
        {
            var bytes = good.Sent.ToArray();
            for (var changes = random.Next(1, 6); changes > 0; changes--)
            {
                // After the preface, mostly.
                var at = random.Next(random.Next(10) == 0 ? 0 : 24, bytes.Length);
                bytes[at] = random.Next(3) switch { 0 => (byte)random.Next(256), 1 => (byte)(bytes[at] ^ (1 << random.Next(8))), _ => 0xFF };
            }
            var client = new Client(hasPreface: false);
            for (var at = 0; at < bytes.Length && client.IsOpen;)
            {
                var count = Math.Min(random.Next(1, 400), bytes.Length - at);
                client.Give(bytes.AsSpan(at, count));
                at += count;
            }
            client.Connection.Closed();
        }
    }

    private static byte[] Bomb()
    {
        var block = new List<byte> { 0x40, 1, (byte)'a', 0x7F, 0xA1, 0x1E };
        block.AddRange(new byte[4000]);
        block.AddRange(Enumerable.Repeat((byte)0xBE, 1000));
        return [.. block];
    }

    private static byte[] Flood() =>
        [.. Enumerable.Range(0, 30).SelectMany(_ => Client.Frame(Data, 0, 1, Client.Message(new string('z', 900))))];

    private sealed record Frame(byte Type, byte Flags, int Stream, byte[] Payload);

    /// <summary>A client's side, and the network between.</summary>
    private sealed class Client : IHttp2Transport
    {
        private readonly HpackDecoder _decoder = new(100_000);
        private readonly List<byte> _received = [];
        private readonly Dictionary<int, (string Text, int Status)> _open = [];
        private readonly List<TaskCompletionSource> _waits = [];

        public Client(bool hasPreface = true)
        {
            var server = new GrpcServer(new IPEndPoint(IPAddress.Loopback, 0), Limits.MaxMessageBytes, TimeProvider.System, NullLoggerFactory.Instance)
            {
                StatusOf = static _ => null,
                Pages = static (method, target) => ValueTask.FromResult(new HttpPage(200, "text/plain", $"{method} {target}")),
            };
            server.Unary("/test/Echo", PutRequest.Parser, (_, request) => ValueTask.FromResult(request), isQuick: true);
            server.Unary("/test/Wait", PutRequest.Parser, async (_, request) =>
            {
                var wait = new TaskCompletionSource();
                _waits.Add(wait);
                await wait.Task.ConfigureAwait(false);
                return request;
            }, isQuick: true);
            server.Streaming("/test/Stream", async call =>
            {
                await Task.Yield();
                while (await call.ReadAsync(PutRequest.Parser) is { } request && request.Value.Length != 900)
                    call.Write(request);
                // A reader that is slower than what comes.
                await Task.Delay(Timeout.Infinite, call.Canceled);
            });
            Connection = new Http2Connection(this, Limits, server);
            Connection.Flush();
            if (hasPreface)
                Give([.. "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8, .. Frame(Settings, 0, 0, [])]);
        }

        public Http2Connection Connection { get; }

        public List<byte> Sent { get; } = [];

        public List<Frame> Frames { get; } = [];

        public List<(int Stream, string Text, int Status)> Answers { get; } = [];

        public bool IsOpen { get; private set; } = true;

        public Http2Error? GoneFor { get; private set; }

        public int MostAtOnce { get; set; } = int.MaxValue;

        public bool IsWaitingToWrite { get; private set; }

        public static byte[] Head(string path) => [0x83, 0x86, 0x44, (byte)path.Length, .. Encoding.ASCII.GetBytes(path), 0x0F, 0x10, 16, .. "application/grpc"u8];

        public static byte[] Message(string text)
        {
            var message = new PutRequest { Value = ByteString.CopyFromUtf8(text) }.ToByteArray();
            return [0, 0, 0, (byte)(message.Length >> 8), (byte)message.Length, .. message];
        }

        public static byte[] Frame(byte type, byte flags, int stream, ReadOnlySpan<byte> payload)
        {
            var frame = new byte[9 + payload.Length];
            BinaryPrimitives.WriteInt32BigEndian(frame, payload.Length << 8);
            frame[3] = type;
            frame[4] = flags;
            BinaryPrimitives.WriteInt32BigEndian(frame.AsSpan(5), stream);
            payload.CopyTo(frame.AsSpan(9));
            return frame;
        }

        public void Send(byte type, byte flags, int stream, ReadOnlySpan<byte> payload) => Give(Frame(type, flags, stream, payload));

        public void Call(int stream, string path, string text)
        {
            // The path is put into the server's table, as clients do.
            Send(Headers, 4, stream, Head(path));
            Send(Data, 1, stream, Message(text));
        }

        public void EndWaits() => _waits.ForEach(w => w.SetResult());

        public void Give(ReadOnlySpan<byte> bytes)
        {
            Sent.AddRange(bytes);
            while (!bytes.IsEmpty && IsOpen)
            {
                var room = Connection.Buffer.Span;
                var count = Math.Min(room.Length, bytes.Length);
                bytes[..count].CopyTo(room);
                bytes = bytes[count..];
                IsOpen = Connection.Received(count);
            }
        }

        int IHttp2Transport.Send(ReadOnlySpan<byte> data)
        {
            var count = Math.Min(data.Length, MostAtOnce);
            // What a full network takes, once.
            MostAtOnce = MostAtOnce == int.MaxValue ? MostAtOnce : 0;
            _received.AddRange(data[..count]);
            while (_received.Count >= 9)
            {
                var length = (_received[0] << 16) | (_received[1] << 8) | _received[2];
                if (_received.Count < 9 + length)
                    break;
                Take(new Frame(
                    _received[3], _received[4], (_received[5] << 24) | (_received[6] << 16) | (_received[7] << 8) | _received[8],
                    [.. _received[9..(9 + length)]]));
                _received.RemoveRange(0, 9 + length);
            }
            return count;
        }

        public void Watch(bool write, bool read) => IsWaitingToWrite = write;

        public void Shutdown() => IsOpen = false;

        private void Take(Frame frame)
        {
            Frames.Add(frame);
            _open.TryGetValue(frame.Stream, out var answer);
            switch (frame.Type)
            {
                case GoAway:
                    GoneFor = (Http2Error)frame.Payload[7];
                    break;
                case Headers:
                    var fields = new List<HeaderField>();
                    _decoder.Decode(frame.Payload, fields);
                    foreach (var field in fields.Where(f => f.Name == "grpc-status"))
                        answer.Status = int.Parse(field.Value, System.Globalization.CultureInfo.InvariantCulture);
                    break;
                case Data:
                    answer.Text = (answer.Text ?? "") + Encoding.Latin1.GetString(frame.Payload);
                    break;
            }
            _open[frame.Stream] = answer;
            if (frame.Type is not (Headers or Data) || (frame.Flags & 1) == 0)
                return;
            var body = Encoding.Latin1.GetBytes(answer.Text ?? "");
            Answers.Add((frame.Stream, FirstOf(body), answer.Status));
        }

        // A damaged path may be that of a page, whose text is no message, and a stream may answer more than once.
        private static string FirstOf(byte[] body)
        {
            if (body.Length <= 5 || BinaryPrimitives.ReadUInt32BigEndian(body.AsSpan(1)) is var length && length > body.Length - 5)
                return "";
            return PutRequest.Parser.ParseFrom(body.AsSpan(5, (int)length)).Value.ToStringUtf8();
        }
    }
}
