using System.Buffers;
using System.Buffers.Binary;
using System.Text;
using Millrace.Query;
using Millrace.Query.Wire;
using Xunit.Abstractions;

namespace Millrace.Tests.Query;

public sealed class FrontendFrameTests(ITestOutputHelper output)
{
    private const int Most = 1000;

    public static TheoryData<string, byte[]> Messages() => new()
    {
        { "Query", Message('Q', "SELECT 1\0"u8) },
        { "Parse", Message('P', [.. "name\0SELECT $1\0"u8, 0, 2, 0, 0, 0, 23, 0, 0, 0, 0]) },
        { "Bind", Message('B', [.. "portal\0name\0"u8, 0, 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, (byte)'x', 255, 255, 255, 255, 0, 1, 0, 1]) },
        { "Describe", Message('D', "Sname\0"u8) },
        { "Execute", Message('E', [.. "portal\0"u8, 0, 0, 0, 5]) },
        { "Close", Message('C', "Pportal\0"u8) },
        { "Sync", Message('S', []) },
        { "Startup", Untagged([0, 3, 0, 0, .. "user\0me\0database\0db\0\0"u8]) },
        { "Cancel", Untagged([0x04, 0xD2, 0x16, 0x2E, 0, 0, 0, 7, 0, 0, 0, 9]) },
        { "SSL", Untagged([0x04, 0xD2, 0x16, 0x2F]) },
    };

    [Theory]
    [MemberData(nameof(Messages))]
    public void Every_prefix_of_a_message_waits_for_more_and_the_whole_is_read(string name, byte[] message)
    {
        var tagged = name is not ("Startup" or "Cancel" or "SSL");
        for (var length = 0; length < message.Length; length++)
        {
            var prefix = new ReadOnlySequence<byte>(message, 0, length);
            Assert.False(FrontendFrame.TryRead(ref prefix, tagged, Most, out _));
            Assert.Equal(length, prefix.Length);
        }
        var more = new ReadOnlySequence<byte>([.. message, 1, 2, 3]);
        Assert.True(FrontendFrame.TryRead(ref more, tagged, Most, out var frame));
        Assert.Equal(3, more.Length);
        Read(tagged, frame);
    }

    [Theory]
    [MemberData(nameof(Messages))]
    public void A_body_that_is_cut_or_longer_than_its_fields_is_a_protocol_violation(string name, byte[] message)
    {
        var tagged = name is not ("Startup" or "Cancel" or "SSL");
        var body = message[(tagged ? 5 : 4)..];
        for (var length = 0; length < body.Length; length++)
        {
            var cut = new FrontendFrame(tagged ? message[0] : (byte)0, body.AsMemory(0, length));
            Assert.Throws<ProtocolException>(() => Read(tagged, cut));
        }
        if (name is not ("Sync" or "SSL"))
            Assert.Throws<ProtocolException>(() => Read(tagged, new FrontendFrame(tagged ? message[0] : (byte)0, (byte[])[.. body, 0])));
    }

    [Fact]
    public void A_message_in_many_pieces_is_read_as_one()
    {
        var message = Message('Q', Encoding.UTF8.GetBytes(new string('x', 300) + "\0"));
        var first = new Piece(message.AsMemory(0, 3), null);
        var last = first;
        for (var i = 3; i < message.Length; i += 7)
            last = new Piece(message.AsMemory(i, Math.Min(7, message.Length - i)), last);
        var sequence = new ReadOnlySequence<byte>(first, 0, last, last.Memory.Length);
        Assert.True(FrontendFrame.TryRead(ref sequence, true, Most, out var frame));
        Assert.Equal(message[5..], frame.Body.ToArray());
    }

    [Theory]
    [InlineData("unknown tag", new byte[] { (byte)'!' }, true)]
    [InlineData("http", new byte[] { (byte)'G', (byte)'E', (byte)'T', (byte)' ' }, true)]
    [InlineData("length below itself", new byte[] { (byte)'Q', 0, 0, 0, 3 }, true)]
    [InlineData("negative length", new byte[] { (byte)'Q', 0xFF, 0xFF, 0xFF, 0xFF }, true)]
    [InlineData("huge length", new byte[] { (byte)'Q', 0x7F, 0xFF, 0xFF, 0xFF }, true)]
    [InlineData("one byte too long", new byte[] { (byte)'Q', 0, 0, 0x03, 0xED }, true)]
    [InlineData("startup without a code", new byte[] { 0, 0, 0, 4 }, false)]
    [InlineData("huge startup", new byte[] { 0x16, 0x03, 0x01, 0x00 }, false)]
    public void A_hostile_header_is_refused_before_its_body_comes(string what, byte[] bytes, bool tagged)
    {
        var buffer = new ReadOnlySequence<byte>(bytes);
        Assert.Throws<ProtocolException>(() => FrontendFrame.TryRead(ref buffer, tagged, Most, out _));
        output.WriteLine(what);
    }

    [Fact]
    public void Counts_that_promise_more_than_the_body_holds_take_no_memory()
    {
        var hostile = Message('P', [0, 0, 255, 255])[5..];
        Assert.Throws<ProtocolException>(() => ParseMessage.Read(hostile));
        Assert.Throws<ProtocolException>(() => BindMessage.Read([0, 0, 0, 0, 0, 1, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0]));
    }

    [Fact]
    public void Random_bodies_are_read_or_refused_and_nothing_else()
    {
        var random = new Random(Seeds.Next(output));
        var tags = "QPBDECS"u8.ToArray();
        for (var round = 0; round < 5000; round++)
        {
            var body = new byte[random.Next(30)];
            random.NextBytes(body);
            if (random.Next(2) == 0)
                body.AsSpan().Replace((byte)(random.Next(256)), (byte)0);
            try
            {
                Read(true, new FrontendFrame(tags[random.Next(tags.Length)], body));
            }
            catch (ProtocolException)
            {
                // Refused.
            }
        }
    }

    [Fact]
    public void Text_that_is_not_UTF8_is_refused() =>
        Assert.Equal("22021", Assert.Throws<ProtocolException>(() => FrameReader.Text([0xC3, 0x28])).SqlState);

    private static void Read(bool tagged, FrontendFrame frame)
    {
        var body = frame.Body.Span;
        if (!tagged)
        {
            FirstMessage.Read(body);
            return;
        }
        switch ((char)frame.Tag)
        {
            case 'P':
                ParseMessage.Read(body);
                break;
            case 'B':
                BindMessage.Read(body);
                break;
            case 'D' or 'C':
                TargetMessage.Read(body);
                break;
            case 'E':
                ExecuteMessage.Read(body);
                break;
            case 'Q':
                var reader = new FrameReader(body);
                reader.ReadCString();
                reader.ExpectEnd();
                break;
        }
    }

    internal static byte[] Message(char tag, ReadOnlySpan<byte> body) => [(byte)tag, .. Untagged(body)];

    private static byte[] Untagged(ReadOnlySpan<byte> body)
    {
        var message = new byte[body.Length + 4];
        BinaryPrimitives.WriteInt32BigEndian(message, message.Length);
        body.CopyTo(message.AsSpan(4));
        return message;
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, Piece? before)
        {
            Memory = memory;
            if (before is null)
                return;
            before.Next = this;
            RunningIndex = before.RunningIndex + before.Memory.Length;
        }
    }
}
