using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Millrace.Raft.Transport;

namespace Millrace.Bench.Consensus;

/// <summary>Puts and linearizable reads of clients that speak TLS, beside etcd with the same certificate; the members' own port is in the clear for both.</summary>
internal static class TlsPart
{
    public static async Task RunAsync(
        BenchOptions options, EtcdBenchmarkTool tool, string folder, string etcdProgram, List<Figure> figures, CancellationToken cancellation)
    {
        var tls = Certify(folder);
        await using var ours = new MillraceGroup(Path.Combine(folder, "millrace-tls"), tls: tls);
        await using var etcd = options.Rival ? new EtcdGroup(Path.Combine(folder, "etcd-tls"), etcdProgram, tls: tls) : null;
        await ours.StartAsync(cancellation);
        if (etcd is not null)
            await etcd.StartAsync(cancellation);
        options.Progress("warming up");
        foreach (var group in etcd is null ? [ours] : new StoreGroup[] { ours, etcd })
        {
            await tool.PutAsync(group, 1000, options.Quick ? 10_000 : 40_000, cancellation);
            await tool.RangeAsync(group, 1000, options.Quick ? 10_000 : 40_000, "l", cancellation);
        }
        foreach (var (clients, total) in new[] { (1, 1500), (100, 20_000), (1000, 50_000) })
        {
            options.Progress($"puts over TLS, {clients} clients");
            var count = options.Quick ? total / 5 : total;
            var mine = await tool.PutAsync(ours, clients, count, cancellation);
            var theirs = etcd is null ? null : await tool.PutAsync(etcd, clients, count, cancellation);
            figures.Add(ConsensusBenchmark.Beside($"puts over TLS, {clients} clients", mine.PerSecond, "puts/s", theirs?.PerSecond, "more than etcd", static (m, t) => m > t));
            figures.Add(ConsensusBenchmark.Beside($"put P99 over TLS, {clients} clients", mine.P99, "ms", theirs?.P99));
            figures.Add(ConsensusBenchmark.Beside($"processor time of three members over TLS, {clients} clients", mine.CpuMicros, "µs/put", theirs?.CpuMicros));
        }
        options.Progress("linearizable reads over TLS");
        var reads = options.Quick ? 10_000 : 80_000;
        var read = await tool.RangeAsync(ours, 1000, reads, "l", cancellation);
        var other = etcd is null ? null : await tool.RangeAsync(etcd, 1000, reads, "l", cancellation);
        figures.Add(ConsensusBenchmark.Beside("linearizable reads over TLS, 1000 clients", read.PerSecond, "reads/s", other?.PerSecond, "more than etcd", static (m, t) => m > t));
        figures.Add(ConsensusBenchmark.Beside("processor time of three members over TLS, reads", read.CpuMicros, "µs/read", other?.CpuMicros));
        figures.Add(ConsensusBenchmark.Beside("processor time of the client over TLS, reads", read.ClientMicros, "µs/read", other?.ClientMicros));
    }

    /// <summary>A certificate for loopback that is its own root.</summary>
    private static TlsFiles Certify(string folder)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=bench", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyCertSign, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid("1.3.6.1.5.5.7.3.1"), new Oid("1.3.6.1.5.5.7.3.2")], false));
        var now = TimeProvider.System.GetUtcNow();
        using var certificate = request.CreateSelfSigned(now.AddDays(-1), now.AddDays(7));
        var files = new TlsFiles { Certificate = Path.Combine(folder, "bench.crt"), Key = Path.Combine(folder, "bench.key"), Ca = Path.Combine(folder, "bench.crt") };
        File.WriteAllText(files.Certificate, certificate.ExportCertificatePem());
        File.WriteAllText(files.Key, key.ExportPkcs8PrivateKeyPem());
        return files;
    }
}
