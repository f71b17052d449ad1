using System.IO.Pipelines;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Millrace.Raft.Transport;

namespace Millrace.Coordination.Grpc;

/// <summary>TLS below Kestrel's HTTP/2, agreed on by ALPN; what Kestrel has of its own needs an application's services.</summary>
internal static class TlsConnections
{
    private static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(10);

    public static void UseTls(this ListenOptions listen, TlsIdentity identity, TimeProvider time) => listen.Use(next => async connection =>
    {
        var transport = connection.Transport;
        await using var input = transport.Input.AsStream(leaveOpen: true);
        await using var output = transport.Output.AsStream(leaveOpen: true);
        await using var secure = new SslStream(new BothWays(input, output), leaveInnerStreamOpen: true);
        try
        {
            using var timeout = new CancellationTokenSource(HandshakeTimeout, time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, connection.ConnectionClosed);
            var options = identity.ForServer(SslApplicationProtocol.Http2);
            options.ApplicationProtocols!.Add(SslApplicationProtocol.Http11);
            await secure.AuthenticateAsServerAsync(options, both.Token).ConfigureAwait(false);
        }
        catch (Exception error) when (error is AuthenticationException or IOException or OperationCanceledException)
        {
            // The client hears of it by TLS's own alert.
            return;
        }
        var session = new Session(secure);
        connection.Features.Set<ITlsConnectionFeature>(session);
        connection.Features.Set<ITlsApplicationProtocolFeature>(session);
        var pipe = new Pipe(PipeReader.Create(secure, new StreamPipeReaderOptions(leaveOpen: true)), PipeWriter.Create(secure, new StreamPipeWriterOptions(leaveOpen: true)));
        connection.Transport = pipe;
        try
        {
            await next(connection).ConfigureAwait(false);
        }
        finally
        {
            await pipe.Input.CompleteAsync().ConfigureAwait(false);
            await pipe.Output.CompleteAsync().ConfigureAwait(false);
            connection.Transport = transport;
        }
    });

    private sealed record Pipe(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class Session(SslStream stream) : ITlsConnectionFeature, ITlsApplicationProtocolFeature
    {
        public X509Certificate2? ClientCertificate { get; set; } = stream.RemoteCertificate as X509Certificate2;

        public ReadOnlyMemory<byte> ApplicationProtocol { get; } = stream.NegotiatedApplicationProtocol.Protocol;

        public Task<X509Certificate2?> GetClientCertificateAsync(CancellationToken cancellationToken) => Task.FromResult(ClientCertificate);
    }

    /// <summary>A pipe's two ends as the one stream that TLS wants.</summary>
    private sealed class BothWays(Stream input, Stream output) : Stream
    {
        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => input.ReadAsync(buffer, cancellationToken);

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            input.ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) => output.WriteAsync(buffer, cancellationToken);

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            output.WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override Task FlushAsync(CancellationToken cancellationToken) => output.FlushAsync(cancellationToken);

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
