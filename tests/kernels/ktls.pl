# A connection to itself whose both ends the kernel encrypts (TLS 1.2, AES-GCM, keys of its own choice): a call on it each second,
# for two minutes. The file of its argument appears when it works.
my $address = pack("Sna4x8", 2, 8443, "\x7f\0\0\x01");
my ($listener, $client, $server);
socket($listener, 2, 1, 0) && bind($listener, $address) && listen($listener, 1) or die "listen: $!\n";
socket($client, 2, 1, 0) && connect($client, $address) or die "connect: $!\n";
accept($server, $listener) or die "accept: $!\n";
my $keys = pack("SS", 0x0303, 51) . "i" x 8 . "k" x 16 . "s" x 4 . "\0" x 8;
for my $end ($client, $server) {
    setsockopt($end, 6, 31, "tls") or die "TCP_ULP: $!\n";
    for my $direction (1, 2) { setsockopt($end, 282, $direction, $keys) or die "SOL_TLS: $!\n" }
}
for (1 .. 120) {
    my ($asked, $answer);
    syswrite($client, "GET /encrypted HTTP/1.1\r\nHost: k\r\n\r\n") && sysread($server, $asked, 4096) or die "ask: $!\n";
    $asked =~ m{^GET /encrypted} or die "it was not decrypted\n";
    syswrite($server, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") && sysread($client, $answer, 4096) or die "answer: $!\n";
    open(my $file, ">", $ARGV[0]);
    sleep 1;
}
