<?php
// SPDX-License-Identifier: Apache-2.0
// Drives a WordPress from the command line: php drive.php FOLDER < operations.json > results.json. An operation is [name, argument…].
$folder = $argv[1];
$operations = json_decode(stream_get_contents(STDIN), true);
$_SERVER['HTTP_HOST'] = getenv('WORDPRESS_HOST');
$_SERVER['REQUEST_METHOD'] = 'GET';
if ($operations && $operations[0][0] === 'install') {
    define('WP_INSTALLING', true);
}
require $folder . '/wp-load.php';
kses_remove_filters();

function dump_posts() {
    $out = [];
    foreach (get_posts(['numberposts' => -1, 'post_status' => 'publish', 'orderby' => 'ID', 'order' => 'ASC']) as $post) {
        $GLOBALS['post'] = $post;
        setup_postdata($post);
        $out[] = ['kind' => 'post', 'id' => $post->ID, 'guid' => $post->guid, 'title' => get_the_title($post),
                  'html' => apply_filters('the_content', $post->post_content), 'created' => get_post_time('c', true, $post)];
    }
    foreach (get_comments(['status' => 'approve', 'orderby' => 'comment_ID', 'order' => 'ASC']) as $comment) {
        $out[] = ['kind' => 'comment', 'id' => (int) $comment->comment_ID, 'guid' => get_comment_guid($comment),
                  'author' => $comment->comment_author, 'html' => apply_filters('comment_text', $comment->comment_content, $comment),
                  'created' => str_replace(' ', 'T', $comment->comment_date_gmt)];
    }
    return $out;
}

function insert_comment($post, $author, $text, $date) {
    return wp_insert_comment(['comment_post_ID' => $post, 'comment_author' => $author, 'comment_content' => $text, 'comment_approved' => 1,
                              'comment_author_email' => 'someone@example.org', 'comment_date_gmt' => $date,
                              'comment_date' => get_date_from_gmt($date)]);
}

$results = [];
foreach ($operations as $operation) {
    [$name, $a, $b, $c, $d] = $operation + [null, null, null, null, null];
    switch ($name) {
    case 'install':
        require_once ABSPATH . 'wp-admin/includes/upgrade.php';
        wp_install('Rider blog', 'admin', 'admin@example.org', true, '', 'not-a-secret');
        update_option('posts_per_rss', $a);
        wp_delete_post(1, true);
        $results[] = true;
        break;
    case 'post':
        $results[] = wp_insert_post(['post_title' => $a, 'post_content' => $b, 'post_status' => 'publish', 'post_date_gmt' => $c,
                                     'post_date' => get_date_from_gmt($c), 'post_author' => 1]);
        break;
    case 'comment':
        $results[] = insert_comment($a, $b, $c, $d);
        break;
    case 'edit_post':
        $results[] = wp_update_post(['ID' => $a, 'post_content' => $b]);
        break;
    case 'edit_comment':
        $results[] = wp_update_comment(['comment_ID' => $a, 'comment_content' => $b]);
        break;
    case 'delete_post':
        $results[] = (bool) wp_delete_post($a, true);
        break;
    case 'trash_post':
        $results[] = (bool) wp_trash_post($a);
        break;
    case 'trash_comment':
        $results[] = (bool) wp_trash_comment($a);
        break;
    case 'option':
        $results[] = update_option($a, $b);
        break;
    case 'delete_comment':
        $results[] = (bool) wp_delete_comment($a, true);
        break;
    case 'dump':
        $results[] = dump_posts();
        break;
    }
}
echo json_encode($results);
